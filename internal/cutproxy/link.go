package cutproxy

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// link is one client's connection and the server's behind it.
type link struct {
	proxy    *Proxy
	ctx      context.Context // done when the link was reset
	cut      context.CancelFunc
	stranded atomic.Bool

	mu    sync.Mutex
	conns []net.Conn
}

// serve carries one connection until both directions have ended.
func (p *Proxy) serve(client net.Conn) {
	l := &link{proxy: p, conns: []net.Conn{client}}
	l.ctx, l.cut = context.WithCancel(context.Background())
	defer l.reset()
	p.mu.Lock()
	if p.refusing || p.closed {
		p.mu.Unlock()
		return
	}
	p.links[l] = struct{}{}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.links, l)
		p.mu.Unlock()
	}()
	if !l.pass(true) {
		return
	}
	server, err := new(net.Dialer).DialContext(l.ctx, "tcp", p.target())
	if err != nil || !l.add(server) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { l.carry(client, server, true) })
	both.Go(func() { l.carry(server, client, false) })
	both.Wait()
}

// carry copies one direction. Its end, too, is told only while the direction passes.
func (l *link) carry(from, to net.Conn, up bool) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if !l.pass(up) {
			return
		}
		if n > 0 {
			if _, failed := to.Write(buffer[:n]); failed != nil {
				// The receiving side is gone: the sending one learns that against the stream.
				if l.pass(!up) {
					l.reset()
				}
				return
			}
		}
		if err != nil {
			_ = to.(*net.TCPConn).CloseWrite()
			return
		}
	}
}

// pass waits until bytes pass in a direction and reports whether the link still exists.
func (l *link) pass(up bool) bool {
	if delay := l.proxy.latency(); delay > 0 {
		select {
		case <-time.After(delay):
		case <-l.ctx.Done():
		}
	}
	select {
	case <-l.proxy.gate(up):
	case <-l.ctx.Done():
	}
	if l.stranded.Load() {
		<-l.ctx.Done()
	}
	return l.ctx.Err() == nil
}

// add makes a connection part of the link, if that still exists.
func (l *link) add(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns = append(l.conns, conn)
	if l.ctx.Err() != nil {
		_ = conn.Close()
	}
	return l.ctx.Err() == nil
}

// reset ends both connections with an RST, as a firewall would.
func (l *link) reset() {
	l.cut()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, conn := range l.conns {
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
}
