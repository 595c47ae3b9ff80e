package delivery

import (
	"encoding/json"
	"errors"
	"io"
	"net/textproto"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"attendee-relay/internal/secret"
)

const (
	// maxHeaders and maxHeadersBytes bound what a row may add to a request: the number of headers, and the bytes of their
	// names and values.
	maxHeaders      = 20
	maxHeadersBytes = 8 << 10
)

// The refusals of a row's headers show no name and no value: they are secrets.
var (
	errHeadersForm      = &Refusal{reason: "the column headers is not a JSON object of strings"}
	errHeadersMany      = &Refusal{reason: "the column headers has more than 20 headers"}
	errHeadersSize      = &Refusal{reason: "the column headers has more than 8 KiB of names and values"}
	errHeadersTwice     = &Refusal{reason: "the column headers has a name twice; upper and lower case are the same"}
	errHeadersName      = &Refusal{reason: "the column headers has a name that HTTP does not allow"}
	errHeadersValue     = &Refusal{reason: "the column headers has a value with a control character"}
	errHeadersForbidden = &Refusal{reason: "the column headers has a name that it may not set: Host, User-Agent, " +
		"Accept-Encoding, Content-*, webhook-* or a hop-by-hop header"}
)

// forbiddenHeaders are the relay's own, and the hop-by-hop ones (RFC 9110, section 7.6.1, and the additions of RFC 2616
// and browsers).
var forbiddenHeaders = []string{"Host", "User-Agent", "Accept-Encoding",
	"Connection", "Proxy-Connection", "Keep-Alive", "Te", "Trailer", "Trailers", "Transfer-Encoding", "Upgrade",
	"Http2-Settings", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Authentication-Info"}

// header is one that a row adds to the request.
type header struct{ name, value string }

// rowHeaders reads a row's headers, or says why they cannot be sent. Names are in net/http's canonical form.
func rowHeaders(text secret.String) ([]header, error) {
	if text.IsZero() {
		return nil, nil
	}
	headers, err := decodeHeaders(text.Reveal())
	if err != nil {
		return nil, err
	}
	size := 0
	seen := make(map[string]bool, len(headers))
	for i := range headers {
		h := &headers[i]
		if err := h.check(); err != nil {
			return nil, err
		}
		h.name = textproto.CanonicalMIMEHeaderKey(h.name)
		if seen[h.name] {
			return nil, errHeadersTwice
		}
		seen[h.name] = true
		size += len(h.name) + len(h.value)
	}
	switch {
	case len(headers) > maxHeaders:
		return nil, errHeadersMany
	case size > maxHeadersBytes:
		return nil, errHeadersSize
	}
	return headers, nil
}

// decodeHeaders reads the object member by member: a map would keep the last of two with the same name.
func decodeHeaders(text string) ([]header, error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return nil, errHeadersForm
	}
	var headers []header
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, errHeadersForm
		}
		value, err := decoder.Token()
		if err != nil {
			return nil, errHeadersForm
		}
		text, isText := value.(string)
		if !isText {
			return nil, errHeadersForm
		}
		headers = append(headers, header{name.(string), text})
	}
	if _, err := decoder.Token(); err != nil {
		return nil, errHeadersForm
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errHeadersForm
	}
	return headers, nil
}

func (h *header) check() error {
	switch {
	case !isToken(h.name):
		return errHeadersName
	case forbidden(h.name):
		return errHeadersForbidden
	case !utf8.ValidString(h.value) || strings.ContainsFunc(h.value, unicode.IsControl):
		return errHeadersValue
	}
	return nil
}

// isToken: a field name is a token (RFC 9110, section 5.6.2).
func isToken(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		return !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

func forbidden(name string) bool {
	lower := strings.ToLower(name)
	return strings.HasPrefix(lower, "content-") || strings.HasPrefix(lower, "webhook-") ||
		slices.ContainsFunc(forbiddenHeaders, func(f string) bool { return strings.EqualFold(f, name) })
}
