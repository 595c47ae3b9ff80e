package replication_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"attendee-relay/internal/capturetest"
	"attendee-relay/internal/fault"
	"attendee-relay/internal/pgtest"
)

// gaps returns what the bookkeeping keeps of each gap, in order.
func gaps(t *testing.T, rig *capturetest.Rig) []string {
	t.Helper()
	return pgtest.Values[string](t, rig.DB, `select format('%s +%s -%s%s', reason, added, removed,
		case when announce then '' else ' not announced' end)
		from attendee_relay.gap where from_lsn <= to_lsn and ended_at >= began_at order by number`)
}

// offline stops a rig that has recorded 1 and 2, loses what loses it, and changes every kind of row meanwhile.
func offline(t *testing.T, rig *capturetest.Rig, loss func()) {
	t.Helper()
	rig.AwaitLeading(t)
	rig.DB.Exec(t, "insert into people values (1, 'Accepted'), (2, 'Accepted'), (3, 'new')")
	rig.Settled(t)
	rig.Stop(t)
	rig.DB.AwaitFreeSlot(t, rig.Source.Slot)
	rig.DB.Exec(t, "insert into people values (4, 'Accepted')") // before the loss: the slot would have had it
	loss()
	rig.DB.Exec(t, "update people set status = 'Accepted' where id = 3")
	rig.DB.Exec(t, "update people set note = 'edited' where id = 1")
	rig.DB.Exec(t, "delete from people where id = 2")
	rig.DB.Exec(t, "insert into people values (5, 'Accepted')")
}

// verifyRepaired expects the announcements of offline's changes, once each, and a stream that continues.
func verifyRepaired(t *testing.T, rig *capturetest.Rig, reason fault.Code) {
	t.Helper()
	rig.Settled(t)
	rig.DB.Exec(t, "insert into people values (6, 'Accepted')")
	rig.DB.Exec(t, "update people set status = 'Accepted' where id = 5")
	rig.Settled(t)
	if got := rig.Keys(t); !slices.Equal(slices.Sorted(slices.Values(got)), []string{"1", "2", "3", "4", "5", "6"}) {
		t.Errorf("announced %q, want 1 to 6 once each", got)
	}
	if got := rig.Ledger(t); !slices.Equal(got, []string{"1", "3", "4", "5", "6"}) {
		t.Errorf("the ledger has %q", got)
	}
	if got := gaps(t, rig); !slices.Equal(got, []string{string(reason) + " +3 -1"}) {
		t.Errorf("the gaps are %q", got)
	}
	if list := rig.Board.List(); len(list) > 0 {
		t.Errorf("faults: %v", list)
	}
	const known = "select count(*)::int from attendee_relay.outbox where committed_at is null"
	if n := pgtest.Value[int](t, rig.DB, known); n != 3 {
		t.Errorf("%d messages have no commit time, want the 3 of the gap", n)
	}
}

// A slot that cannot be read on is recreated, and the ledger is compared with the table in its snapshot.
func TestResync(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		reason fault.Code
		loss   string
	}{
		{"dropped", fault.SlotMissing, "select pg_drop_replication_slot('SLOT')"},
		{"moved by somebody else", fault.SlotLost, "select pg_replication_slot_advance('SLOT', pg_current_wal_lsn())"},
		{"recreated by somebody else", fault.SlotLost,
			"select pg_drop_replication_slot('SLOT'); select pg_create_logical_replication_slot('SLOT', 'pgoutput')"},
		{"publication recreated", fault.SourceDrift,
			"drop publication SLOT; create publication SLOT for table people with (publish_via_partition_root = true)"},
		{"publication altered and altered back", fault.SourceDrift,
			"alter publication SLOT set (publish = 'insert'); alter publication SLOT set (publish = 'insert, update, delete, " +
				"truncate')"},
		{"table taken out and put back", fault.SourceDrift,
			"alter publication SLOT drop table people; alter publication SLOT add table people"},
		{"table recreated", fault.SourceDrift,
			"alter table people rename to old; create table people (like old including all); insert into people select * from " +
				"old; alter publication SLOT set table people"},
		{"teardown", fault.SlotMissing, "select pg_drop_replication_slot('SLOT'); drop publication SLOT"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rig := newRig(t, pgtest.New(t, pgtest.Empty()), table)
			rig.Start(t)
			offline(t, rig, func() {
				for _, statement := range strings.Split(c.loss, ";") {
					rig.DB.Exec(t, strings.ReplaceAll(statement, "SLOT", rig.Source.Slot))
				}
			})
			rig.Start(t)
			verifyRepaired(t, rig, c.reason)
		})
	}
	t.Run("max_slot_wal_keep_size", func(t *testing.T) {
		t.Parallel()
		server := pgtest.Start(t, map[string]string{"max_slot_wal_keep_size": "1MB", "max_wal_size": "32MB",
			"wal_keep_size": "0"})
		rig := newRig(t, pgtest.On(t, server, pgtest.Empty()), table)
		rig.Start(t)
		offline(t, rig, func() { loseSlot(t, rig) })
		rig.Start(t)
		verifyRepaired(t, rig, fault.SlotLost)
	})
}

// loseSlot writes WAL until Postgres gives the slot up.
func loseSlot(t *testing.T, rig *capturetest.Rig) {
	t.Helper()
	pgtest.WaitUntil(t, capturetest.Patience, "the slot is lost", func() (bool, string) {
		rig.DB.Exec(t, "select pg_switch_wal()")
		rig.DB.Exec(t, "checkpoint")
		status := pgtest.Value[string](t, rig.DB,
			"select coalesce(wal_status, 'lost') from pg_replication_slots where slot_name = $1", rig.Source.Slot)
		return status == "lost", status
	})
}

// Under stop the relay refuses, whatever was lost, and touches nothing.
func TestStopOnLoss(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		loss string
		code fault.Code
	}{
		"slot": {"select pg_drop_replication_slot('SLOT')", fault.SlotMissing},
		"publication": {"alter publication SLOT drop table people; alter publication SLOT add table people",
			fault.SourceDrift},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig := newRig(t, pgtest.New(t, pgtest.Empty()), table)
			rig.Source.OnLoss = "stop"
			rig.Start(t)
			offline(t, rig, func() {
				for _, statement := range strings.Split(c.loss, ";") {
					rig.DB.Exec(t, strings.ReplaceAll(statement, "SLOT", rig.Source.Slot))
				}
			})
			rig.Start(t)
			if f := rig.AwaitFault(t, c.code); !strings.Contains(f.Fix, "adopt") {
				t.Errorf("the fault names no way out: %v", f)
			}
			if got := rig.Keys(t); !slices.Equal(got, []string{"1", "2"}) {
				t.Errorf("announced %q", got)
			}
			if n := pgtest.Value[int](t, rig.DB, "select count(*)::int from attendee_relay.gap"); n != 0 {
				t.Errorf("%d gaps are noted", n)
			}
		})
	}
}

// A DBA's slot is never touched: when it is lost the relay shows the statement to run, and uses the new slot with an
// ordinary snapshot.
func TestResyncWithASlotOfADBA(t *testing.T) {
	t.Parallel()
	rig := newRig(t, pgtest.New(t, pgtest.Empty()), table)
	rig.Source.Setup = "manual"
	rig.DB.Exec(t, "create publication "+rig.Source.Publication+" for table people with (publish_via_partition_root = "+
		"true)")
	rig.DB.Exec(t, "select pg_create_logical_replication_slot($1, 'pgoutput')", rig.Source.Slot)
	rig.Start(t)
	offline(t, rig, func() { rig.DB.Exec(t, "select pg_drop_replication_slot($1)", rig.Source.Slot) })
	rig.Start(t)
	f := rig.AwaitFault(t, fault.SlotMissing)
	w := startWriters(t, rig.DB, 3)
	rig.DB.Exec(t, f.Fix)
	rig.AwaitLeading(t)
	ids := w.end(t)
	rig.Settled(t)
	want := []string{"1", "2", "3", "4", "5"}
	for _, id := range ids {
		want = append(want, fmt.Sprint(id))
	}
	slices.Sort(want)
	if got := slices.Sorted(slices.Values(rig.Keys(t))); !slices.Equal(got, want) {
		t.Errorf("announced %d acceptances, want %d: each once", len(got), len(want))
	}
}

// A crash at any point of a resync is followed by another one, and nothing is announced twice.
func TestResyncUnderLoadAndRestarts(t *testing.T) {
	t.Parallel()
	rig := newRig(t, pgtest.New(t, pgtest.Empty()), table)
	rig.Start(t)
	rig.CaughtUp(t)
	w := startWriters(t, rig.DB, 2)
	for range 3 {
		rig.Stop(t)
		rig.DB.AwaitFreeSlot(t, rig.Source.Slot)
		rig.DB.Exec(t, "select pg_drop_replication_slot($1)", rig.Source.Slot)
		rig.Start(t)
		time.Sleep(20 * time.Millisecond) // anywhere in the resync
		rig.Stop(t)
		rig.DB.AwaitFreeSlot(t, rig.Source.Slot)
		rig.Start(t)
		rig.AwaitLeading(t)
	}
	ids := w.end(t)
	rig.Settled(t)
	if got, want := len(rig.Keys(t)), len(ids); got != want {
		t.Errorf("%d acceptances were announced, %d were committed", got, want)
	}
	if got, want := len(rig.Ledger(t)), len(ids); got != want {
		t.Errorf("the ledger has %d rows, want %d", got, want)
	}
	t.Logf("%d acceptances, gaps %q", len(ids), gaps(t, rig))
}
