package postgres

import (
	"context"
	"net"
	"sync"
	"testing"
)

// The driver dials to cancel the query of a lost connection while the next connection is being examined. The race
// detector would report a conflict.
func TestDialsAreNotedFromSeveralGoroutines(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	d := &dialled{}
	var dials sync.WaitGroup
	for range 20 {
		dials.Go(func() {
			if conn, err := d.dial(context.Background(), "tcp4", listener.Addr().String()); err == nil {
				_ = conn.Close()
			}
			d.tried()
		})
	}
	dials.Wait()
	if n := len(d.tried()); n != 20 {
		t.Errorf("%d of 20 dials are noted", n)
	}
}
