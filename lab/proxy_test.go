package lab

import (
	"net"
	"sync"
	"testing"
)

// proxy stands between one relay and Postgres, and breaks what goes through it.
type proxy struct {
	upstream string
	listener net.Listener
	working  sync.WaitGroup

	mu      sync.Mutex
	changed *sync.Cond
	conns   map[*net.TCPConn]bool
	cut     bool    // every connection is reset, also new ones
	stalled [2]bool // nothing passes up or down, and nobody is told
	closed  bool
}

// The directions: from the relay to Postgres, and back.
const (
	up   = 0
	down = 1
)

func newProxy(t *testing.T, upstream string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{upstream: upstream, listener: listener, conns: map[*net.TCPConn]bool{}}
	p.changed = sync.NewCond(&p.mu)
	p.working.Go(p.serve)
	t.Cleanup(p.close)
	return p
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

func (p *proxy) serve() {
	for {
		relay, err := p.listener.Accept()
		if err != nil {
			return
		}
		postgres, err := net.Dial("tcp", p.upstream)
		if err != nil {
			_ = relay.Close()
			continue
		}
		from, to := relay.(*net.TCPConn), postgres.(*net.TCPConn)
		if p.admit(from, to) {
			p.working.Go(func() { p.pass(from, to, up) })
			p.working.Go(func() { p.pass(to, from, down) })
		}
	}
}

func (p *proxy) admit(conns ...*net.TCPConn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		p.conns[c] = true
		if p.cut || p.closed {
			p.reset(c)
		}
	}
	return !p.cut && !p.closed
}

// pass copies what comes from one side to the other, until either ends; then both do.
func (p *proxy) pass(from, to *net.TCPConn, direction int) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		p.await(direction)
		if err == nil {
			_, err = to.Write(buffer[:n])
		}
		if err != nil {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.drop(from, to)
			return
		}
	}
}

// await returns when a direction is open, or everything is over.
func (p *proxy) await(direction int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.stalled[direction] && !p.cut && !p.closed {
		p.changed.Wait()
	}
}

// drop ends connections in good order.
func (p *proxy) drop(conns ...*net.TCPConn) {
	for _, c := range conns {
		_ = c.Close()
		delete(p.conns, c)
	}
}

// reset ends a connection as a lost network does when it is back: the peer is told that it is unknown.
func (p *proxy) reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	p.drop(c)
}

// breakOff resets all connections and, until resume, the new ones.
func (p *proxy) breakOff() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	for c := range p.conns {
		p.reset(c)
	}
	p.changed.Broadcast()
}

// stall holds back what goes up, down, or both ways; connections stay open, and new ones open without an answer.
func (p *proxy) stall(goingUp, goingDown bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stalled = [2]bool{up: goingUp, down: goingDown}
}

// resume lets everything pass again, also what was held back.
func (p *proxy) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut, p.stalled = false, [2]bool{}
	p.changed.Broadcast()
}

func (p *proxy) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	p.closed = true
	for c := range p.conns {
		p.reset(c)
	}
	p.changed.Broadcast()
	p.mu.Unlock()
	p.working.Wait()
}
