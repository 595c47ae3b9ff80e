package admin_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"attendee-relay/admin"
	"attendee-relay/internal/fault"
	"attendee-relay/internal/pgtest"
)

// serve runs a server until the test ends, and returns its address.
func serve(t *testing.T) string {
	t.Helper()
	server := newServer(t, "127.0.0.1:0", admin.Leader, fault.NewBoard())
	addr, err := server.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return addr.String()
}

// from is a client whose connections come from an address of this machine.
func from(t *testing.T, address string) *http.Client {
	t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	transport := &http.Transport{DialContext: dialer.DialContext}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

func healthy(t *testing.T, client *http.Client, addr string) time.Duration {
	t.Helper()
	began := time.Now()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatalf("/healthz: %v", err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("/healthz: %d", answer.StatusCode)
	}
	return time.Since(began)
}

// silent opens connections that say what they are told to, and no more.
func silent(t *testing.T, addr, address string, n int, says string) []net.Conn {
	t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}, Timeout: 10 * time.Second}
	conns := make([]net.Conn, 0, n)
	t.Cleanup(func() {
		for _, c := range conns {
			_ = c.Close()
		}
	})
	for range n {
		c, err := dialer.DialContext(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatalf("after %d connections: %v", len(conns), err)
		}
		_, _ = io.WriteString(c, says)
		conns = append(conns, c)
	}
	return conns
}

// open counts the connections that the server has not closed.
func open(t *testing.T, conns []net.Conn) (n int) {
	t.Helper()
	for _, c := range conns {
		_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
		_, err := c.Read(make([]byte, 1))
		if timeout, ok := err.(net.Error); ok && timeout.Timeout() { //nolint:errorlint // a Read's own
			n++
		}
	}
	return n
}

// bounded waits until no more than so many are open: a close takes effect when the server's reader has let go.
func bounded(t *testing.T, conns []net.Conn, most int) {
	t.Helper()
	pgtest.WaitUntil(t, 4*time.Second, "few connections are open", func() (bool, string) {
		n := open(t, conns)
		return n <= most, strconv.Itoa(n) + " are open"
	})
}

// Connections that say nothing, or half a request, cost their client its share and nobody else anything.
func TestSilentConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	for name, says := range map[string]string{"nothing": "",
		"half a header": "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := serve(t)
			conns := silent(t, addr, "127.0.0.2", 1000, says)
			if took := healthy(t, from(t, "127.0.0.3"), addr); took > time.Second {
				t.Errorf("from elsewhere it took %v", took)
			}
			bounded(t, conns, 32)
			if says == "" {
				healthy(t, from(t, "127.0.0.2"), addr) // as a health check from the same address
			}
		})
	}
}

// Many clients share the whole: one that comes new finds a place all the same.
func TestConnectionsAreBoundedInAll(t *testing.T) {
	t.Parallel()
	addr := serve(t)
	var conns []net.Conn
	for last := range 10 {
		conns = append(conns, silent(t, addr, "127.0.1."+string(rune('0'+last)), 30, "")...)
	}
	healthy(t, from(t, "127.0.0.3"), addr)
	bounded(t, conns, 128)
}

// Of a request no more than its header is read.
func TestLargeRequestsAreRefused(t *testing.T) {
	t.Parallel()
	addr := serve(t)
	conn := silent(t, addr, "127.0.0.2", 1, "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Large: "+strings.Repeat("x",
		64<<10)+"\r\n\r\n")[0]
	answer := make([]byte, 1024)
	n, _ := conn.Read(answer)
	if !strings.Contains(string(answer[:n]), "431") {
		t.Errorf("a header of 64 KiB is answered %q", answer[:n])
	}
}
