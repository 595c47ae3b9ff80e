package outbox_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"attendee-relay/internal/capturetest"
	"attendee-relay/internal/pgtest"
	"attendee-relay/outbox"
)

// A Resolver that always has something due, as under a load with OUTBOX_SETTLE, shows a key that fails, and still
// evaluates the key again.
func TestAKeyThatFailedBesideOthersThatAreAlwaysDue(t *testing.T) {
	t.Parallel()
	rig := queryRig(t, peopleTable, "(length(note) || note)::int + (select length(pg_sleep(0.3)::text))",
		func(c *outbox.Config) { c.Settle = 10 * time.Millisecond })
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	defer load.Wait()
	defer stop()
	pool := rig.DB.OwnerPool(t) // the application
	load.Go(func() {
		for i := 100; ctx.Err() == nil; i++ {
			_, _ = pool.Exec(ctx, "insert into people values ($1, 'Accepted', '1')", i)
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	})
	pgtest.WaitUntil(t, capturetest.Patience, "the first has its message", func() (bool, string) {
		return pgtest.Value[bool](t, rig.DB, "select exists (select from attendee_relay.message)"), ""
	})
	rig.DB.Exec(t, "insert into people values (1, 'Accepted', 'hidden')")
	pgtest.WaitUntil(t, 10*time.Second, "it has failed", func() (bool, string) {
		return pgtest.Value[bool](t, rig.DB,
			"select exists (select from attendee_relay.acceptance where last_error is not null)"), ""
	})
	awaitQueryFault(t, rig, true, "error of the payload query: 1;")
	rig.DB.Exec(t, "update people set note = '4' where id = 1")
	pgtest.WaitUntil(t, 10*time.Second, "it has its message", func() (bool, string) {
		return pgtest.Value[bool](t, rig.DB,
			"select exists (select from attendee_relay.message where source_key = '1')"), ""
	})
}

// A process that no longer leads and does not know it yet does not evaluate a failed key again and again.
func TestAKeyThatFailedIsLeftToTheNewLeader(t *testing.T) {
	t.Parallel()
	rig := queryRig(t, peopleTable, "(length(note) || note)::int")
	rig.DB.Exec(t, "insert into people values (1, 'Accepted', 'hidden')")
	awaitQueryFault(t, rig, true, "error of the payload query: 1;")
	rig.DB.Exec(t, `update attendee_relay.checkpoint set epoch = epoch + 1;
		update attendee_relay.acceptance set next_evaluation_at = now() + interval '1 second'`)
	evaluated := func() int {
		return pgtest.Value[int](t, rig.DB, "select idx_scan::int from pg_stat_user_tables where relname = 'people'")
	}
	pgtest.WaitUntil(t, 10*time.Second, "it is due", func() (bool, string) {
		return pgtest.Value[bool](t, rig.DB, "select now() > next_evaluation_at from attendee_relay.acceptance"), ""
	})
	before := evaluated()
	time.Sleep(4 * time.Second) // nothing signals that it is not evaluated
	if n := evaluated() - before; n > 20 {
		t.Errorf("in 4 s it was looked up %d times", n)
	}
}
