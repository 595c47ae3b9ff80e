package delivery

import (
	"context"
	"crypto/tls"
	"net/http/httptrace"
	"sync/atomic"
)

// step is how far an exchange came; it tells a receiver that cannot be reached from one that does not answer.
type step int32

const (
	stepConnect step = iota
	stepLookup
	stepTLS
	stepAnswer
)

// progress follows one exchange. The transport dials in a goroutine of its own that may outlive the exchange.
type progress struct {
	reached atomic.Int32
	conn    atomic.Pointer[firstBytes]
	reused  atomic.Bool
}

func (p *progress) step() step { return step(p.reached.Load()) }

func (p *progress) advance(from, to step) { p.reached.CompareAndSwap(int32(from), int32(to)) }

func (p *progress) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSStart:          func(httptrace.DNSStartInfo) { p.advance(stepConnect, stepLookup) },
		DNSDone:           func(httptrace.DNSDoneInfo) { p.advance(stepLookup, stepConnect) },
		TLSHandshakeStart: func() { p.advance(stepConnect, stepTLS) },
		TLSHandshakeDone: func(_ tls.ConnectionState, err error) {
			if err == nil {
				p.advance(stepTLS, stepAnswer)
			}
		},
		GotConn: p.gotConn,
	})
}

// gotConn begins the answer on a connection that had one before. On a new one the server may have spoken already.
func (p *progress) gotConn(info httptrace.GotConnInfo) {
	if conn, ok := info.Conn.(*firstBytes); ok {
		if info.Reused {
			conn.forget()
		}
		p.conn.Store(conn)
	}
	p.reused.Store(info.Reused)
	p.reached.Store(int32(stepAnswer))
}

// first returns the first bytes that came back, where the connection remembers them.
func (p *progress) first() []byte {
	if conn := p.conn.Load(); conn != nil {
		return conn.first()
	}
	return nil
}
