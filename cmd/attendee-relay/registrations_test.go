package main

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"attendee-relay/internal/pgtest"
)

// registrations are attendees accepted one by one while something else goes on.
type registrations struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
	made   int
	err    error
}

func registerOneByOne(t *testing.T, db *pgtest.DB, event int64) *registrations {
	t.Helper()
	pool := db.OwnerPool(t, func(c *pgxpool.Config) { c.MaxConns = 1 })
	ctx, cancel := context.WithCancel(context.Background())
	r := &registrations{cancel: cancel}
	r.done.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil && r.err == nil {
			// A registration that began is not interrupted: whether it was committed would be open.
			_, r.err = pool.Exec(context.WithoutCancel(ctx), `insert into attendees (event_id, name, surname, email, status)
				values ($1, 'Grace', 'Hopper', 'grace@example.org', 'Accepted')`, event)
			r.made++
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	})
	t.Cleanup(func() { cancel(); r.done.Wait() })
	return r
}

// stop returns how many were made.
func (r *registrations) stop(t *testing.T) int {
	t.Helper()
	r.cancel()
	r.done.Wait()
	if r.err != nil {
		t.Fatalf("registering: %v", r.err)
	}
	return r.made
}
