package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"attendee-relay/internal/capturetest"
	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
	"attendee-relay/replication"
)

// heapPeak watches the heap until it is told to stop, and returns the largest live one above where it began.
func heapPeak() (stop func() uint64) {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	began := m.HeapAlloc
	done, peak := make(chan struct{}), make(chan uint64)
	go func() {
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		most := began
		for {
			select {
			case <-ticker.C:
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapAlloc)
			case <-done:
				peak <- most - began
				return
			}
		}
	}()
	return func() uint64 { close(done); return <-peak }
}

// It measures the heap, so it runs before the parallel tests.
func TestMemoryOfALargeTransaction(t *testing.T) {
	if testing.Short() || relaytest.Racing() {
		t.Skip("it takes long, the version of Postgres does not matter to it, and the race detector uses memory of its own")
	}
	rig := peopleRig(t, peopleTable)
	rig.Start(t)
	rig.CaughtUp(t)
	stop := heapPeak()
	began := time.Now()
	rig.DB.Exec(t, "insert into people select i, 'Accepted' from generate_series(1, 200000) as i")
	committed := time.Since(began)
	rig.CaughtUp(t)
	recorded := time.Since(began)
	grown := stop()
	t.Logf("heap +%d MiB; committed after %v, recorded after %v", grown>>20, committed, recorded)
	if grown > 96<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
	eachOnce(t, rig, 200000)
}

func eachOnce(t *testing.T, rig *capturetest.Rig, n int) {
	t.Helper()
	const counts = `with a as (select identity from attendee_relay.message
		union all select identity from attendee_relay.acceptance)
		select array[count(*), count(distinct identity)]::int[] from a`
	if got := pgtest.Value[[]int](t, rig.DB, counts); got[0] != n || got[1] != n {
		t.Errorf("%d acceptances of %d rows, want %d", got[0], got[1], n)
	}
}

// breaking fails, or has the writer's session ended, at the calls that at names.
type breaking struct {
	replication.Recorder
	calls atomic.Int64
	at    map[int64]func()
}

func (b *breaking) Prepare(ctx context.Context, commits []replication.Commit) (replication.Recording, error) {
	recording, err := b.Recorder.Prepare(ctx, commits)
	return func(ctx context.Context) error {
		if do := b.at[b.calls.Add(1)]; do != nil {
			do()
			return errors.New("a crash of the test's")
		}
		return recording(ctx)
	}, err
}

func TestCrashesInALargeTransaction(t *testing.T) {
	t.Parallel()
	t.Run("between its parts", func(t *testing.T) {
		t.Parallel()
		rig := peopleRig(t, peopleTable)
		rig.Capture = func(c *replication.Capture) { c.PartSize = 500 }
		rig.Through = func(r replication.Recorder) replication.Recorder {
			return &breaking{Recorder: r, at: map[int64]func(){3: func() {}, 9: func() {}, 14: func() {}}}
		}
		rig.Start(t)
		rig.AwaitLeading(t)
		rig.DB.Exec(t, "insert into people select i, 'Accepted' from generate_series(1, 5000) as i")
		rig.CaughtUp(t)
		eachOnce(t, rig, 5000)
	})
	for _, kill := range []bool{false, true} {
		t.Run(fmt.Sprintf("while it is applied, killed %v", kill), func(t *testing.T) {
			t.Parallel()
			rig := peopleRig(t, peopleTable+"; insert into people select i, 'Accepted' from generate_series(5001, 6000) as i")
			rig.Capture = func(c *replication.Capture) { c.PartSize = 500 }
			rig.Recorder = smallSpoolSteps
			rig.Start(t)
			rig.CaughtUp(t)
			rig.DB.Exec(t, `begin; insert into people select i, 'Accepted' from generate_series(1, 5000) as i;
				update people set id = id + 100000 where id between 5001 and 6000; commit`)
			const applying = "select spool_step || ' ' || spool_cursor from attendee_relay.checkpoint where spool_step is not " +
				"null"
			for seen, times := "", 0; times < 4; times++ {
				var now string
				pgtest.WaitUntil(t, capturetest.Patience, "the spool is applied", func() (bool, string) {
					steps := pgtest.Values[string](t, rig.DB, applying)
					if len(steps) == 0 {
						return pgtest.Value[int](t, rig.DB, "select count(*)::int from attendee_relay.acceptance")+
							pgtest.Value[int](t, rig.DB, "select count(*)::int from attendee_relay.message") > 0, "none"
					}
					now = steps[0]
					return now != seen, now
				})
				if now == seen || now == "" {
					break
				}
				seen, now = now, ""
				if kill {
					rig.DB.Exec(t, `select pg_terminate_backend(pid) from pg_stat_activity
						where datname = current_database() and application_name like '% writer'`)
				} else {
					rig.Stop(t)
					rig.Start(t)
				}
			}
			rig.CaughtUp(t)
			eachOnce(t, rig, 5000)
			if n := len(rig.Ledger(t)); n != 6000 {
				t.Errorf("%d rows in the ledger, want 6000", n)
			}
		})
	}
}

// A reader of the spool, such as a pg_dump, holds neither capture nor the emptying up.
func TestSpoolIsEmptiedBesideAReader(t *testing.T) {
	t.Parallel()
	rig := peopleRig(t, peopleTable)
	rig.Capture = func(c *replication.Capture) { c.PartSize = 500 }
	rig.Start(t)
	rig.CaughtUp(t)
	reader, err := rig.DB.OwnerPool(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := reader.Exec(t.Context(), "lock table attendee_relay.spool in access share mode"); err != nil {
		t.Fatal(err)
	}
	rig.DB.Exec(t, "insert into people select i, 'Accepted' from generate_series(1, 2000) as i")
	rig.CaughtUp(t)
	eachOnce(t, rig, 2000)
	if n := pgtest.Value[int](t, rig.DB, "select count(*)::int from attendee_relay.spool"); n != 0 {
		t.Errorf("%d rows are left in the spool", n)
	}
}
