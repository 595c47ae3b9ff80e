package delivery

import (
	"errors"
	"strings"

	"attendee-relay/internal/weburl"
)

// maxURL is the longest URL that is sent to; receivers and proxies refuse longer ones anyway.
const maxURL = 4096

var (
	errURLScheme   = &Refusal{reason: "the URL must begin with https://"}
	errURLPlain    = &Refusal{reason: "the URL begins with http://, which only DELIVERY_ALLOW_HTTP=true permits"}
	errURLHost     = &Refusal{reason: "the URL has no valid host"}
	errURLPort     = &Refusal{reason: "the URL has no valid port"}
	errURLUserinfo = &Refusal{reason: "the URL holds a user name or password"}
	errURLLength   = &Refusal{reason: "the URL is too long"}
	// errURLNotPublic is for the operator's own URL: unlike errNotPublic it may say what is wrong.
	errURLNotPublic = &Refusal{reason: "its address is not public and not in DELIVERY_ALLOW_NETWORKS, " +
		"or it is in DELIVERY_DENY_NETWORKS"}
)

// target reads a message's URL and refuses what must not be dialled. Where its name leads is not looked at here: that
// is known only at the socket. Every error is a *Refusal.
func target(raw string, allowHTTP bool) (weburl.URL, error) {
	if len(weburl.Trim(raw)) > maxURL {
		return weburl.URL{}, errURLLength
	}
	u, err := weburl.Parse(raw)
	switch {
	case errors.Is(err, weburl.ErrHost):
		return u, errURLHost
	case errors.Is(err, weburl.ErrPort), u.Port == "0":
		return u, errURLPort
	case err != nil:
		return u, errURLScheme
	case !u.TLS && !allowHTTP:
		return u, errURLPlain
	case u.Credentials:
		return u, errURLUserinfo
	}
	return u, nil
}

// CheckURL reports why no message could ever be sent to a URL: its form, or an address in it that the guard refuses. A
// name that leads to such an address is found out only when it is dialled, but for localhost, which always does.
func (c Config) CheckURL(raw string) error {
	u, err := target(raw, c.AllowHTTP)
	if err != nil {
		return err
	}
	guard := newGuard(c.AllowNetworks, c.DenyNetworks)
	closed := guard.literal(u.Host) != nil
	if name := strings.TrimSuffix(u.Host, "."); name == "localhost" || strings.HasSuffix(name, ".localhost") { // RFC 6761
		closed = guard.literal("127.0.0.1") != nil && guard.literal("::1") != nil
	}
	if closed {
		return errURLNotPublic
	}
	return nil
}
