package replication_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/capturetest"
	"attendee-relay/internal/fault"
	"attendee-relay/internal/pgtest"
)

const query = `select id as key, id as attendee_id, 'Ada' as name, 'Lovelace' as surname, 'ada@example.org' as email,
	1 as price,
	'EUR' as currency, 1 as event_id, 'Party' as event_name, 'https://example.org/hook' as webhook_url from people
		where id = any ($1::int[])`

const table = `create table people (id int primary key, status text, note text);`

// newRig watches a table people; ddl makes it.
func newRig(t *testing.T, db *pgtest.DB, ddl string) *capturetest.Rig {
	t.Helper()
	db.Exec(t, ddl)
	rig := capturetest.New(db)
	rig.Source.Table, rig.Outbox.Query = "public.people", query
	rig.Marker = "insert into people (id, status) values (1000000000, 'marker') on conflict (id) do update set status = " +
		"'marker'"
	return rig
}

// writers accept people from several sessions until they are stopped; each row is one commit.
type writers struct {
	stop context.CancelFunc
	done sync.WaitGroup
	mu   sync.Mutex
	ids  []int
	err  error
}

// startWriters has n sessions of the application accept people until it is stopped.
func startWriters(t *testing.T, db *pgtest.DB, n int) *writers {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	w := &writers{stop: stop}
	for i := range n {
		conn, err := pgx.Connect(t.Context(), db.OwnerURL())
		if err != nil {
			t.Fatal(err)
		}
		w.done.Go(func() {
			defer func() { _ = conn.Close(context.Background()) }()
			for id := 1_000_000 * (i + 1); ctx.Err() == nil; id++ {
				_, err := conn.Exec(context.Background(), "insert into people values ($1, 'Accepted')", id)
				w.mu.Lock()
				w.ids, w.err = append(w.ids, id), err
				w.mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	t.Cleanup(func() { w.stop(); w.done.Wait() })
	return w
}

func (w *writers) end(t *testing.T) []int {
	t.Helper()
	w.stop()
	w.done.Wait()
	if w.err != nil {
		t.Fatalf("writing: %v", w.err)
	}
	slices.Sort(w.ids)
	return w.ids
}

func (w *writers) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.ids)
}

func (w *writers) await(t *testing.T, n int) {
	t.Helper()
	pgtest.WaitUntil(t, capturetest.Patience, fmt.Sprint(n, " rows are written"), func() (bool, string) {
		return w.count() >= n, fmt.Sprint(w.count())
	})
}

// verify says of each row whether it is in the baseline (commit_lsn NULL in the ledger) or announced, and once.
func verify(t *testing.T, rig *capturetest.Rig, ids []int) (baseline, announced int) {
	t.Helper()
	const rows = `with a as (select identity from attendee_relay.message
		union all select identity from attendee_relay.acceptance)
		select array[identity::int, (commit_lsn is null)::int, coalesce(n, 0)::int] from attendee_relay.ledger
		left join (select identity, count(*) as n from a group by 1) as counted using (identity)
			where identity::int >= 1000000`
	seen := map[int]bool{}
	for _, row := range pgtest.Values[[]int](t, rig.DB, rows) {
		id, marked, messages := row[0], row[1], row[2]
		seen[id] = true
		if marked+messages != 1 {
			t.Errorf("row %d is in the baseline %d times and announced %d times", id, marked, messages)
		}
		baseline, announced = baseline+marked, announced+messages
	}
	for _, id := range ids {
		if !seen[id] {
			t.Errorf("row %d is lost", id)
		}
	}
	return baseline, announced
}

func TestBaselineUnderLoad(t *testing.T) {
	t.Parallel()
	for _, given := range []bool{false, true} {
		name := "own slot"
		if given {
			name = "slot made beforehand"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig := newRig(t, pgtest.New(t, pgtest.Empty()),
				table+"insert into people select i, 'Accepted' from generate_series(1, 100000) as i")
			load := startWriters(t, rig.DB, 4)
			load.await(t, 50)
			if given {
				rig.DB.Exec(t, "create publication "+rig.Source.Publication+" for table people with (publish_via_partition_root "+
					"= true)")
				rig.DB.Exec(t, "select pg_create_logical_replication_slot($1, 'pgoutput')", rig.Source.Slot)
				load.await(t, load.count()+50)
				rig.DB.Exec(t, "update people set note = 'x' where id <= 10")
			}
			rig.Start(t)
			rig.AwaitLeading(t)
			load.await(t, load.count()+50)
			ids := load.end(t)
			rig.CaughtUp(t)
			baseline, announced := verify(t, rig, ids)
			old := pgtest.Value[int](t, rig.DB,
				"select count(*)::int from attendee_relay.ledger where identity::int <= 100000 and commit_lsn is null")
			if old != 100000 {
				t.Errorf("%d rows of the 100000 are in the baseline", old)
			}
			if baseline < 50 || announced < 50 {
				t.Errorf("%d rows are in the baseline and %d announced: the load was not on while it started", baseline, announced)
			}
			if got := pgtest.Value[int](t, rig.DB,
				"select count(*)::int from attendee_relay.outbox where source_key::int <= 100000"); got != 0 {
				t.Errorf("%d rows of the baseline are announced", got)
			}
			t.Logf("%d in the baseline, %d announced", baseline, announced)
			if got := stretches(t, rig); len(got) > 0 { // nobody has read the slot before this start
				t.Errorf("the gaps are %q", got)
			}
			// An e-mail edit of rows accepted before the first start.
			rig.DB.Exec(t, "update people set note = 'edited' where id <= 1000")
			rig.CaughtUp(t)
			if n := len(rig.Keys(t)); n != announced {
				t.Errorf("%d acceptances after an edit, %d before", n, announced)
			}
		})
	}
}

func TestBaselineIsSent(t *testing.T) {
	t.Parallel()
	rig := newRig(t, pgtest.New(t, pgtest.Empty()),
		table+"insert into people select i, case when i % 2 = 0 then 'Accepted' end from generate_series(1, 2000) as i")
	rig.Outbox.Baseline = "send"
	rig.Start(t)
	rig.AwaitLeading(t)
	pgtest.WaitUntil(t, 20*time.Second, "1000 messages are there", func() (bool, string) {
		n := pgtest.Value[int](t, rig.DB,
			"select count(distinct source_key)::int from attendee_relay.outbox where committed_at is null")
		return n == 1000, fmt.Sprint(n)
	})
	rig.Stop(t)
	rig.Start(t)
	rig.CaughtUp(t)
	if n := len(rig.Keys(t)); n != 1000 {
		t.Errorf("%d acceptances after another start, want 1000", n)
	}
}

// A crash while the baseline is taken leaves the phase, and a slot that nothing was read from.
func TestCrashInTheBaseline(t *testing.T) {
	t.Parallel()
	rig := newRig(t, pgtest.New(t, pgtest.Empty()), table+"insert into people values (1, 'Accepted')")
	rig.Start(t)
	rig.CaughtUp(t)
	rig.Stop(t)
	slot := "select restart_lsn::text from pg_replication_slots where slot_name = '" + rig.Source.Slot + "'"
	left := pgtest.Value[string](t, rig.DB, slot)
	rig.DB.Exec(t, "update attendee_relay.checkpoint set phase = 'own_slot', lsn = '0/0'; delete from "+
		"attendee_relay.ledger")
	rig.DB.Exec(t, "insert into people values (2, 'Accepted')")
	rig.Start(t)
	rig.CaughtUp(t)
	if now := pgtest.Value[string](t, rig.DB, slot); now == left {
		t.Error("the slot left by the crash is still there")
	}
	rig.DB.Exec(t, "insert into people values (3, 'Accepted')")
	rig.CaughtUp(t)
	if got := rig.Keys(t); !slices.Equal(got, []string{"3"}) {
		t.Errorf("announced %q, want only 3", got)
	}
	if got := rig.Ledger(t); !slices.Equal(got, []string{"1", "2", "3"}) {
		t.Errorf("the ledger has %q", got)
	}
}

func TestSlotFaults(t *testing.T) {
	t.Parallel()
	started := func(t *testing.T) *capturetest.Rig {
		rig := newRig(t, pgtest.New(t, pgtest.Empty()), table)
		rig.Start(t)
		rig.CaughtUp(t)
		rig.Stop(t)
		rig.DB.AwaitFreeSlot(t, rig.Source.Slot)
		return rig
	}
	t.Run("moved by somebody else", func(t *testing.T) {
		t.Parallel()
		rig := started(t)
		rig.Source.OnLoss = "stop"
		rig.DB.Exec(t, "insert into people values (1, 'Accepted')")
		rig.DB.Exec(t, "select pg_replication_slot_advance($1, pg_current_wal_lsn())", rig.Source.Slot)
		rig.Start(t)
		rig.AwaitFault(t, fault.SlotLost)
	})
	t.Run("dropped", func(t *testing.T) {
		t.Parallel()
		rig := started(t)
		rig.Source.OnLoss = "stop"
		rig.DB.Exec(t, "select pg_drop_replication_slot($1)", rig.Source.Slot)
		rig.Start(t)
		rig.AwaitFault(t, fault.SlotMissing)
		if n := pgtest.Value[int](t, rig.DB, "select count(*)::int from pg_replication_slots where slot_name = $1",
			rig.Source.Slot); n != 0 {
			t.Error("the slot was made again: what was committed in between would be lost without a word")
		}
	})
	t.Run("of another plugin", func(t *testing.T) {
		t.Parallel()
		rig := newRig(t, pgtest.New(t, pgtest.Empty()), table)
		rig.DB.Exec(t, "create publication "+rig.Source.Publication+" for table people with (publish_via_partition_root = "+
			"true)")
		rig.DB.Exec(t, "select pg_create_physical_replication_slot($1)", rig.Source.Slot)
		t.Cleanup(func() { rig.DB.Exec(t, "select pg_drop_replication_slot($1)", rig.Source.Slot) })
		rig.Start(t)
		rig.AwaitFault(t, fault.SlotLost)
	})
	t.Run("manual setup makes nothing", func(t *testing.T) {
		t.Parallel()
		rig := newRig(t, pgtest.New(t, pgtest.Empty()), table)
		rig.Source.Setup, rig.Unprepared = "manual", true
		rig.Start(t)
		rig.AwaitFault(t, fault.PublicationMissing)
		rig.DB.Exec(t, pgtest.Publication(rig.Source.Publication, "people"))
		rig.AwaitFault(t, fault.SlotMissing)
		rig.DB.Exec(t, "select pg_create_logical_replication_slot($1, 'pgoutput')", rig.Source.Slot)
		rig.AwaitLeading(t)
		rig.DB.Exec(t, "insert into people values (1, 'Accepted')")
		rig.CaughtUp(t)
		if got := rig.Keys(t); !slices.Equal(got, []string{"1"}) || len(rig.Board.List()) > 0 {
			t.Errorf("announced %q, faults %v", got, rig.Board.List())
		}
		if got := stretches(t, rig); len(got) > 0 {
			t.Errorf("the gaps are %q", got)
		}
	})
}

func TestWALLevel(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, map[string]string{"wal_level": "replica"})
	rig := newRig(t, pgtest.On(t, server, pgtest.Empty()), table)
	rig.Start(t)
	rig.AwaitFault(t, fault.WALLevel)
}

// Bookkeeping of other settings, or of another deployment, is not gone on with.
func TestBookkeepingOfOthers(t *testing.T) {
	t.Parallel()
	rig := newRig(t, pgtest.New(t, pgtest.Empty()), table)
	rig.Start(t)
	rig.CaughtUp(t)
	rig.Stop(t)
	rig.Source.Accepted = []string{"Accepted", "VIP"}
	rig.Start(t)
	rig.AwaitFault(t, fault.SourceChanged)
	rig.Stop(t)
	rig.Source.Accepted, rig.Deployment = []string{"Accepted"}, "other"
	rig.Start(t)
	rig.AwaitFault(t, fault.ClusterChanged)
	rig.Stop(t)
	rig.Deployment = "test"
	rig.DB.Exec(t, "update attendee_relay.checkpoint set lsn = 'FFFF/0'")
	rig.Start(t)
	rig.AwaitFault(t, fault.LSNBehind)
}
