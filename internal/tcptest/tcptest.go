// Package tcptest serves raw TCP connections in tests.
//
// It turns a function over a connection into a server on a port of its own. Its promise: each connection is handled by
// a goroutine and closed when the function returns, and nobody listens any more once the test has ended. Tests use it
// where a server speaks another protocol, says nothing or breaks off, or where a process is told its address.
package tcptest

import (
	"net"
	"testing"
)

// Serve handles each connection with talk, until the test ends, and returns the server's address.
func Serve(t testing.TB, talk func(net.Conn)) (address string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				talk(conn)
			}()
		}
	}()
	return listener.Addr().String()
}

// FreeAddr returns an address of this machine that nobody listens on.
func FreeAddr(t testing.TB) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}
