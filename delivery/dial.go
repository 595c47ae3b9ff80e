package delivery

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http/httptrace"
	"time"
)

// notTLSError is a handshake that failed because the server answered with something else.
type notTLSError struct {
	error
	first []byte
}

// Unwrap gives errors.As the cause.
func (e *notTLSError) Unwrap() error { return e.error }

// connector makes connections, to public addresses only, that remember the first bytes of what they read.
type connector struct {
	dialer *net.Dialer
	tls    *tls.Config
	// timeout bounds a handshake: a dial goes on without the request that asked for it.
	timeout time.Duration
}

func newConnector(cfg Config) (*connector, error) {
	roots, err := authorities(cfg.CAFile)
	if err != nil {
		return nil, err
	}
	return &connector{
		dialer:  newDialer(cfg),
		tls:     &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, NextProtos: []string{"h2", "http/1.1"}},
		timeout: cfg.Timeout,
	}, nil
}

// newDialer returns a dialer that asks the guard about every socket before it connects. A dial goes on without the
// request that asked for it, for the next one to use: it needs its own bound.
func newDialer(cfg Config) *net.Dialer {
	return &net.Dialer{Timeout: cfg.Timeout, Control: newGuard(cfg.AllowNetworks, cfg.DenyNetworks).control}
}

// dial connects without TLS.
func (c *connector) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := c.dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &firstBytes{Conn: conn}, nil
}

// dialTLS connects and shakes hands. A connection that will speak HTTP/2 is returned as it is, because net/http looks
// for the protocol in a *tls.Conn, and the bytes of its frames would be of no use to anybody.
func (c *connector) dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("reading the address to connect to: %w", err)
	}
	conn, err := c.dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	config := c.tls.Clone()
	config.ServerName = host
	plain := &firstBytes{Conn: conn}
	secured := tls.Client(plain, config)
	if err := c.handshake(ctx, secured); err != nil {
		_ = conn.Close()
		if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
			return nil, &notTLSError{err, plain.first()}
		}
		return nil, err
	}
	if secured.ConnectionState().NegotiatedProtocol == "h2" {
		return secured, nil
	}
	return &firstBytes{Conn: secured}, nil
}

// handshake tells the request's trace about itself, as net/http does about its own handshakes.
func (c *connector) handshake(ctx context.Context, conn *tls.Conn) error {
	trace := httptrace.ContextClientTrace(ctx)
	if trace != nil {
		trace.TLSHandshakeStart()
	}
	bounded, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	err := conn.HandshakeContext(bounded)
	if trace != nil {
		trace.TLSHandshakeDone(conn.ConnectionState(), err)
	}
	return err
}
