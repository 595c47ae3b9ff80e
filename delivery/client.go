package delivery

import (
	"net/http"
	"net/url"
	"time"

	"attendee-relay/internal/weburl"
)

const (
	// maxHeader bounds an answer's header; ten times what honest receivers send.
	maxHeader = 64 << 10
	// idleTimeout is how long a connection waits for the next message. Shorter than most firewalls forget one, so that a
	// request seldom goes into a connection that is no longer there.
	idleTimeout = 30 * time.Second
	// streamWindow and connectionWindow bound what an HTTP/2 server may push at us unread; the defaults, 4 MiB and 1 GiB,
	// would let one answer take more memory than all of them may.
	streamWindow     = maxBody
	connectionWindow = 1 << 20
	// pingAfter and pingTimeout find a dead HTTP/2 connection, which all requests to a host would otherwise go into.
	pingAfter   = 10 * time.Second
	pingTimeout = 5 * time.Second
)

// newTransport returns the relay's side of HTTP. The Transport is used directly, without an http.Client: following
// redirects, keeping cookies and printing URLs in errors are the Client's doing.
func newTransport(cfg Config, connector *connector) *http.Transport {
	return &http.Transport{
		// A proxy would connect in our stead, around the guard.
		Proxy:                  nil,
		DialContext:            connector.dial,
		DialTLSContext:         connector.dialTLS,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeader,
		// Many endpoints may share a host (form services, automation tools): it may keep as many as there are in all.
		MaxIdleConns:        cfg.Concurrency,
		MaxIdleConnsPerHost: cfg.Concurrency,
		IdleConnTimeout:     idleTimeout,
		ForceAttemptHTTP2:   true,
		HTTP2: &http.HTTP2Config{
			SendPingTimeout:               pingAfter,
			PingTimeout:                   pingTimeout,
			MaxReceiveBufferPerStream:     streamWindow,
			MaxReceiveBufferPerConnection: connectionWindow,
		},
	}
}

// netURL turns a URL into net/http's, which sends Path and RawQuery exactly as they stand here.
func netURL(u weburl.URL) (*url.URL, error) {
	decoded, err := url.PathUnescape(u.Path)
	if err != nil {
		return nil, errURLHost // not reached: every escape in the path is valid
	}
	scheme := "http"
	if u.TLS {
		scheme = "https"
	}
	return &url.URL{Scheme: scheme, Host: u.Authority(), Path: decoded, RawPath: u.Path, RawQuery: u.RawQuery,
		ForceQuery: u.HasQuery}, nil
}
