package outbox

import (
	"context"
	"testing"
	"time"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
	"attendee-relay/internal/secret"
)

// A server that falls silent at the end of a reading transaction does not hold up a caller that gives up waiting:
// capture would show seconds later that the database is away.
func TestReadingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	network := relaytest.Proxy(t, db)
	r := &reader{url: secret.New(db.By(t, network.Addr()).URL()), name: "reader"}
	for range 2 { // the second time it has to connect again
		ctx, cancel := context.WithCancel(t.Context())
		var stalled time.Time
		err := r.in(ctx, nil, func(snapshot) error {
			network.Stall(true, true)
			stalled = time.Now()
			time.AfterFunc(50*time.Millisecond, cancel)
			return nil
		})
		if took := time.Since(stalled); err != nil || took > time.Second {
			t.Errorf("a silent server: %v after %v", err, took)
		}
		network.Resume()
	}
	r.close(t.Context())
}
