package delivery

import (
	"net/url"
	"strings"
)

// maxURL is the longest URL that is sent to; receivers and proxies refuse longer ones anyway.
const maxURL = 4096

var (
	errURLForm     = &Refusal{reason: "the URL cannot be parsed"}
	errURLScheme   = &Refusal{reason: "the URL must begin with https://"}
	errURLHost     = &Refusal{reason: "the URL has no host"}
	errURLUserinfo = &Refusal{reason: "the URL holds a user name or password"}
	errURLLength   = &Refusal{reason: "the URL is too long"}
)

// target parses a message's URL and refuses what must not be dialled. Where its name leads is not looked at here: that
// is known only at the socket.
func target(raw string, allowHTTP bool) (*url.URL, error) {
	raw = strings.TrimSpace(raw) // pasted into a form by hand
	if len(raw) > maxURL {
		return nil, errURLLength
	}
	// Parse's own error quotes the URL.
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errURLForm
	}
	switch {
	case u.Scheme != "https" && (u.Scheme != "http" || !allowHTTP):
		return nil, errURLScheme
	case u.User != nil:
		return nil, errURLUserinfo
	case u.Hostname() == "":
		return nil, errURLHost
	}
	return u, nil
}
