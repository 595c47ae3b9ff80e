// Package cutproxy is the network between a client and a server, and fails on command.
//
// It turns one TCP address into a way to a server that can be cut, stalled in either direction, slowed, closed to new
// connections, and led to another server. It promises that a stall loses nothing and closes nothing, as routers that
// drop packets do not: the bytes, and the end of a connection, arrive when it is over. Tests call it.
package cutproxy

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy is one address. Its methods are safe for concurrent use; it ends with the test.
type Proxy struct {
	listener net.Listener
	done     sync.WaitGroup

	mu       sync.Mutex
	upstream string
	links    map[*link]struct{}
	refusing bool
	closed   bool
	delay    time.Duration
	up, down chan struct{} // closed while bytes pass in that direction
}

// New opens an address on this machine that leads to upstream, a host:port.
func New(t testing.TB, upstream string) *Proxy {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("opening a proxy's address: %v", err)
	}
	p := &Proxy{listener: listener, upstream: upstream, links: map[*link]struct{}{}, up: open(), down: open()}
	p.done.Go(p.accept)
	t.Cleanup(func() {
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		_ = listener.Close()
		p.Cut()
		p.done.Wait()
	})
	return p
}

// Addr returns the address for clients, a host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Cut resets every connection, on both sides. New ones are let through.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.reset()
	}
}

// Strand leaves every connection half-open: it carries nothing from now on, and neither side is told. New connections
// are let through.
func (p *Proxy) Strand() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.stranded.Store(true)
	}
}

// Refuse resets every connection, and each new one at once, until Resume.
func (p *Proxy) Refuse() {
	p.mu.Lock()
	p.refusing = true
	p.mu.Unlock()
	p.Cut()
}

// Stall holds what the clients send (up), what the server sends (down), or both, until Resume. Nobody is told: new
// connections are taken, too, and hang.
func (p *Proxy) Stall(up, down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	hold(&p.up, up)
	hold(&p.down, down)
}

// Delay makes everything that is sent take so much longer, a reply twice that.
func (p *Proxy) Delay(by time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = by
}

// Resume ends Stall, Delay and Refuse. Bytes that were held back are passed on.
func (p *Proxy) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusing, p.delay = false, 0
	hold(&p.up, false)
	hold(&p.down, false)
}

// Switch resets every connection and leads new ones to another server, as an address does that follows a promotion.
func (p *Proxy) Switch(upstream string) {
	p.mu.Lock()
	p.upstream = upstream
	p.mu.Unlock()
	p.Cut()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.done.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) target() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.upstream
}

func (p *Proxy) latency() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.delay
}

// gate returns what is closed while bytes pass in a direction.
func (p *Proxy) gate(up bool) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if up {
		return p.up
	}
	return p.down
}

func open() chan struct{} {
	gate := make(chan struct{})
	close(gate)
	return gate
}

// hold closes a gate, or opens it.
func hold(gate *chan struct{}, held bool) {
	select {
	case <-*gate:
		if held {
			*gate = make(chan struct{})
		}
	default:
		if !held {
			close(*gate)
		}
	}
}
