package admin

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxConnections and maxPerClient bound the connections to ADMIN_ADDR: each costs a file descriptor that deliveries
	// need.
	maxConnections = 128
	maxPerClient   = 32
	// spareFiles are file descriptors that are kept for this server, so that it can say that there are no others.
	spareFiles = 4
	// retryAccept is the wait after a failure to accept.
	retryAccept = 50 * time.Millisecond
)

// limited is a listener with a bounded number of connections in all and of each client. One too many replaces the
// client's oldest that waits for a request, and is closed at once if none does. (A listener that stops accepting, like
// golang.org/x/net/netutil's, keeps everybody in the backlog behind those who hold the places.)
type limited struct {
	net.Listener
	spare *spare

	mu      sync.Mutex
	all     int
	clients map[netip.Prefix][]*conn
}

func limit(l net.Listener) *limited {
	return &limited{Listener: l, spare: newSpare(spareFiles), clients: map[netip.Prefix][]*conn{}}
}

// conn is one connection, which counts until it is closed.
type conn struct {
	net.Conn
	listener *limited
	client   netip.Prefix
	once     sync.Once
	// waits: no request is under way on it.
	waits atomic.Bool
}

// Accept returns the next connection within the bounds. Failures that pass are waited for here.
func (l *limited) Accept() (net.Conn, error) {
	for {
		accepted, err := l.Listener.Accept()
		switch {
		case err == nil:
			if c := l.admit(accepted); c != nil {
				return c, nil
			}
		case isShort(err):
			if !l.spare.lend() {
				time.Sleep(retryAccept)
			}
		default:
			return nil, err
		}
	}
}

// Close closes the listener.
func (l *limited) Close() error {
	l.spare.close()
	return l.Listener.Close()
}

// admit counts a connection, or closes it and returns nil.
func (l *limited) admit(accepted net.Conn) *conn {
	c := &conn{Conn: accepted, listener: l, client: clientOf(accepted.RemoteAddr())}
	c.waits.Store(true)
	out, ok := l.enter(c)
	if out != nil {
		_ = out.Close()
	}
	if !ok {
		_ = accepted.Close()
		l.spare.refill()
		return nil
	}
	return c
}

// enter gives a connection its place. out is the one that has lost its own to it.
func (l *limited) enter(c *conn) (out *conn, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.clients[c.client]) >= maxPerClient || l.all >= maxConnections {
		if out = l.waiting(c.client); out == nil {
			return nil, false
		}
		l.drop(out)
	}
	l.all++
	l.clients[c.client] = append(l.clients[c.client], c)
	return out, true
}

// waiting returns the oldest connection that waits for a request: of this client, or, if the client has not used its
// share up, of the one with the most connections.
func (l *limited) waiting(client netip.Prefix) *conn {
	from := client
	if len(l.clients[client]) < maxPerClient {
		for other, held := range l.clients {
			if len(held) > len(l.clients[from]) {
				from = other
			}
		}
	}
	for _, c := range l.clients[from] {
		if c.waits.Load() {
			return c
		}
	}
	return nil
}

// drop takes a connection out of the count, if it is in it.
func (l *limited) drop(c *conn) {
	held := l.clients[c.client]
	for i, other := range held {
		if other != c {
			continue
		}
		l.all--
		l.clients[c.client] = append(held[:i:i], held[i+1:]...)
		if len(held) == 1 {
			delete(l.clients, c.client)
		}
		return
	}
}

// Close closes the connection and gives its place back.
func (c *conn) Close() (err error) {
	err = net.ErrClosed
	c.once.Do(func() {
		err = c.Conn.Close()
		c.listener.mu.Lock()
		c.listener.drop(c)
		c.listener.mu.Unlock()
		c.listener.spare.refill()
	})
	return err
}

// track notes whether a request is under way; it is an http.Server's ConnState.
func track(nc net.Conn, state http.ConnState) {
	if c, ok := nc.(*conn); ok {
		c.waits.Store(state == http.StateNew || state == http.StateIdle)
	}
}

// clientOf is who a connection is from: an IPv4 address, or an IPv6 network, of which each client has a whole one.
func clientOf(addr net.Addr) netip.Prefix {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	prefix, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}
