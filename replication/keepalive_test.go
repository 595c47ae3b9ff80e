package replication_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"attendee-relay/internal/capturetest"
	"attendee-relay/internal/pgtest"
)

// An idle source whose server writes other WAL does not pin it, and an idle relay writes none itself.
func TestIdleSource(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, map[string]string{"autovacuum": "off", "checkpoint_timeout": "1h"})
	rig := newRig(t, pgtest.On(t, server, pgtest.Empty()),
		table+"create table other (text text); alter table other alter text set storage plain")
	rig.Start(t)
	rig.CaughtUp(t)
	rig.DB.Exec(t, "insert into other select repeat('x', 4000) from generate_series(1, 8200)")
	end := pgtest.Value[string](t, rig.DB, "select pg_current_wal_lsn()::text")
	const left = "select ($1::text::pg_lsn - confirmed_flush_lsn)::bigint from pg_replication_slots where slot_name = $2"
	if behind := pgtest.Value[int64](t, rig.DB, left, end, rig.Source.Slot); behind < 30<<20 {
		t.Logf("the slot is behind by %d bytes only, from the start", behind)
	}
	began := time.Now()
	pgtest.WaitUntil(t, 30*time.Second, "the slot has passed the other table's WAL", func() (bool, string) {
		behind := pgtest.Value[int64](t, rig.DB, left, end, rig.Source.Slot)
		return behind < 1<<20, fmt.Sprint(behind, " bytes behind")
	})
	t.Logf("confirmed after %v", time.Since(began))

	pgtest.WaitUntil(t, 30*time.Second, "no WAL is written for 5 s", func() (bool, string) {
		return still(t, rig, 5*time.Second), "still writing"
	})
}

// still reports whether the server's WAL has not grown for that long.
func still(t *testing.T, rig *capturetest.Rig, quiet time.Duration) bool {
	t.Helper()
	// Postgres itself notes its running transactions every 15 s, if anything was written (LogStandbySnapshot).
	const written = "select pg_current_wal_insert_lsn()::text"
	before, since := pgtest.Value[string](t, rig.DB, written), time.Now()
	same := true
	pgtest.WaitUntil(t, 2*quiet, "time has passed", func() (bool, string) {
		same = pgtest.Value[string](t, rig.DB, written) == before
		return !same || time.Since(since) > quiet, ""
	})
	return same
}

// lackStandby has commits wait for a synchronous standby that is missing.
func lackStandby(t *testing.T, rig *capturetest.Rig) {
	t.Helper()
	rig.DB.Exec(t, "alter system set synchronous_standby_names = 'missing'")
	rig.DB.Exec(t, "select pg_reload_conf()")
	pgtest.WaitUntil(t, capturetest.Patience, "commits wait for a standby", func() (bool, string) {
		names := pgtest.Value[string](t, rig.DB, "show synchronous_standby_names")
		return names == "missing", names
	})
}

// A commit that a missing synchronous standby holds back is in the stream and not visible: it is not recorded before.
func TestCommitThatIsNotVisible(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, nil)
	rig := newRig(t, pgtest.On(t, server, pgtest.Empty()), table)
	rig.Start(t)
	rig.CaughtUp(t)
	lackStandby(t, rig)
	held := startWriters(t, rig.DB, 1)
	pgtest.WaitUntil(t, capturetest.Patience, "the commit waits", func() (bool, string) {
		events := pgtest.Values[string](t, rig.DB, "select wait_event from pg_stat_activity where wait_event = 'SyncRep'")
		return len(events) == 1, fmt.Sprint(events)
	})
	pgtest.WaitUntil(t, capturetest.Patience, "the relay has read it", func() (bool, string) {
		sent := pgtest.Value[bool](t, rig.DB, `select bool_or(sent_lsn >= pg_current_wal_flush_lsn()) from pg_stat_replication
			where application_name like '%walsender'`)
		return sent, fmt.Sprint(sent)
	})
	pgtest.WaitUntil(t, capturetest.Patience, "no WAL is written while the commit is not visible", func() (bool, string) {
		return still(t, rig, time.Second), "still writing"
	})
	// The setting takes effect a moment after the reload, so the first commits may not have waited.
	if got, visible := rig.Keys(t), held.count(); len(got) > visible {
		t.Errorf("announced %q, and %d commits are visible", got, visible)
	}
	// Stopping does not wait for the standby.
	began := time.Now()
	if rig.Stop(t); time.Since(began) > 15*time.Second {
		t.Errorf("stopping took %v", time.Since(began))
	}
	rig.Start(t)
	rig.DB.Exec(t, "alter system set synchronous_standby_names = ''")
	rig.DB.Exec(t, "select pg_reload_conf()")
	held.await(t, 1)
	ids := held.end(t)
	rig.CaughtUp(t)
	want := make([]string, len(ids))
	for i, id := range ids {
		want[i] = fmt.Sprint(id)
	}
	if got := rig.Keys(t); !slices.Equal(got, want) {
		t.Errorf("announced %q, want %q", got, want)
	}
}
