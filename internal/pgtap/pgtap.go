// Package pgtap listens in on what a client asks a Postgres.
//
// It turns the bytes that pass between a relay and its database into the statements that were sent, each with the
// parameters of its latest execution, so that a test can run all of them again under other settings. It changes nothing
// of what passes. Only tests import it.
package pgtap

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"slices"
	"sync"
	"testing"
)

// Statement is one that was executed.
type Statement struct {
	SQL string
	// Types, Formats and Params are as in the protocol's Parse and Bind messages (PostgreSQL 14 to 18); none for a simple
	// query.
	Types   []uint32
	Formats []int16
	Params  [][]byte
}

// Tap is an address that leads to a Postgres. It ends with the test.
type Tap struct {
	listener net.Listener
	upstream string
	done     sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	seen  map[string]Statement
	ended bool
}

// New opens an address on this machine that leads to upstream, a host:port without TLS.
func New(t testing.TB, upstream string) *Tap {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("opening a tap's address: %v", err)
	}
	tap := &Tap{listener: listener, upstream: upstream, conns: map[net.Conn]struct{}{}, seen: map[string]Statement{}}
	tap.done.Go(tap.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		tap.mu.Lock()
		tap.ended = true
		for conn := range tap.conns {
			_ = conn.Close()
		}
		tap.mu.Unlock()
		tap.done.Wait()
	})
	return tap
}

// Addr returns the address for clients, a host:port.
func (t *Tap) Addr() string { return t.listener.Addr().String() }

// Statements returns what was executed so far, each text once.
func (t *Tap) Statements() []Statement {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []Statement
	for _, sql := range slices.Sorted(maps.Keys(t.seen)) {
		list = append(list, t.seen[sql])
	}
	return list
}

func (t *Tap) accept() {
	for {
		client, err := t.listener.Accept()
		if err != nil {
			return
		}
		server, err := new(net.Dialer).Dial("tcp4", t.upstream)
		if err != nil {
			_ = client.Close()
			continue
		}
		if t.keep(client) && t.keep(server) {
			t.done.Go(func() { t.pass(server, client) })
			t.done.Go(func() { t.listen(client, server) })
		}
	}
}

// keep remembers a connection, or closes it when the test is over.
func (t *Tap) keep(conn net.Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		_ = conn.Close()
		return false
	}
	t.conns[conn] = struct{}{}
	return true
}

// pass carries what the server sends.
func (t *Tap) pass(from, to net.Conn) {
	_, _ = io.Copy(to, from)
	t.close(from, to)
}

func (t *Tap) close(conns ...net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, conn := range conns {
		_ = conn.Close()
		delete(t.conns, conn)
	}
}

// listen carries what the client sends, message by message.
func (t *Tap) listen(client, server net.Conn) {
	defer t.close(client, server)
	session := &session{prepared: map[string]Statement{}}
	for {
		message, err := read(client, session)
		if err != nil {
			return
		}
		if statement, executed := session.take(message); executed {
			t.mu.Lock()
			t.seen[statement.SQL] = statement
			t.mu.Unlock()
		}
		if _, err := server.Write(message); err != nil {
			return
		}
	}
}

// longest bounds a message: what is longer is no message of Postgres's protocol.
const longest = 1 << 30

var errNoMessage = errors.New("that is no message of Postgres's protocol")
