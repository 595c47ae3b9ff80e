// Package weburl reads a URL the way a browser does and returns what an HTTP client needs to send to it.
//
// Its promise: what it returns is pure ASCII that every HTTP server parses, however an organiser typed the URL. It
// follows the WHATWG URL Standard for http and https without a base URL (white space, backslashes, dot segments, IDNA,
// numbers as IPv4 addresses) and goes further in one point: what RFC 3986 does not allow in a path or a query is
// percent-encoded, although browsers send some of it as it is, because servers such as the JDK's answer 400 to it.
// Whether the URL may be sent to is for its caller to judge. No error repeats any part of the URL.
package weburl

import (
	"errors"
	"net"
	"strconv"
	"strings"
)

// The ways in which a text is no URL to send to.
var (
	ErrEmpty  = errors.New("the URL is empty")
	ErrScheme = errors.New("the URL does not begin with https:// or http://")
	ErrHost   = errors.New("the URL has no valid host")
	ErrPort   = errors.New("the URL has no valid port")
)

// URL is what is sent of a URL.
type URL struct {
	TLS bool
	// Host is a name in ASCII, an IPv4 address, or an IPv6 address in brackets.
	Host string
	// Port is empty for the scheme's own port.
	Port string
	// Credentials reports whether the URL holds a user name or a password; neither is kept.
	Credentials bool
	// Path is the path of the request target, RawQuery the query without its question mark; HasQuery tells an empty query
	// from none.
	Path, RawQuery string
	HasQuery       bool
}

// Authority is the value of the Host header.
func (u URL) Authority() string {
	if u.Port == "" {
		return u.Host
	}
	return u.Host + ":" + u.Port
}

// Address is the host:port to connect to.
func (u URL) Address() string {
	port := u.Port
	switch {
	case port != "":
	case u.TLS:
		port = "443"
	default:
		port = "80"
	}
	return net.JoinHostPort(strings.Trim(u.Host, "[]"), port)
}

// Public is what may be shown of the URL: no credentials, no query.
func (u URL) Public() string {
	scheme := "http://"
	if u.TLS {
		scheme = "https://"
	}
	return scheme + u.Authority() + u.Path
}

// Target is the request target: the path and, where there is one, the query.
func (u URL) Target() string {
	if !u.HasQuery {
		return u.Path
	}
	return u.Path + "?" + u.RawQuery
}

// inside are the characters that the standard drops wherever they stand: a URL may have been broken over lines.
var inside = strings.NewReplacer("\t", "", "\n", "", "\r", "")

// Parse reads a URL. A fragment is dropped.
func Parse(text string) (URL, error) {
	text = strings.ToValidUTF8(Trim(text), "\uFFFD")
	if strings.ContainsAny(text, "\t\n\r") {
		text = inside.Replace(text)
	}
	if text == "" {
		return URL{}, ErrEmpty
	}
	scheme, rest, found := strings.Cut(text, ":")
	var u URL
	switch {
	case found && strings.EqualFold(scheme, "https"):
		u.TLS = true
	case found && strings.EqualFold(scheme, "http"):
	default:
		return URL{}, ErrScheme
	}
	rest = strings.TrimLeft(rest, `/\`)
	rest, _, _ = strings.Cut(rest, "#")
	rest, u.RawQuery, u.HasQuery = strings.Cut(rest, "?")
	end := strings.IndexAny(rest, `/\`)
	if end < 0 {
		end = len(rest)
	}
	u.Path, u.RawQuery = path(rest[end:]), encode(u.RawQuery, inQuery)
	return u, u.readAuthority(rest[:end])
}

// readAuthority fills in the part before the path.
func (u *URL) readAuthority(authority string) error {
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		u.Credentials = at > 0 && authority[:at] != ":"
		authority = authority[at+1:]
	}
	name, port := authority, ""
	if colon := strings.LastIndexByte(authority, ':'); colon > strings.LastIndexByte(authority, ']') {
		name, port = authority[:colon], authority[colon+1:]
	}
	var err error
	if u.Host, err = host(name); err != nil {
		return err
	}
	return u.readPort(port)
}

func (u *URL) readPort(text string) error {
	if text == "" {
		return nil
	}
	if strings.Trim(text, "0123456789") != "" {
		return ErrPort
	}
	number, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return ErrPort
	}
	u.Port = strconv.FormatUint(number, 10)
	if u.TLS && number == 443 || !u.TLS && number == 80 {
		u.Port = ""
	}
	return nil
}
