package replication_test

import (
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/capturetest"
	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/postgres"
)

// dropBooks drops the relay's schema, and makes it again for the role as the README does.
const dropBooks = `drop schema attendee_relay cascade; create schema attendee_relay authorization attendee_relay`

// dropUnder runs statements that drop tables which the relay uses. Of two sessions that wait for each other, Postgres
// may end this one.
func dropUnder(t *testing.T, rig *capturetest.Rig, sql string) {
	t.Helper()
	pool := rig.DB.OwnerPool(t) // a DBA
	pgtest.WaitUntil(t, capturetest.Patience, "it is dropped", func() (bool, string) {
		_, err := pool.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
		if err != nil && postgres.Code(err) != "40P01" {
			t.Fatal(err)
		}
		return err == nil, "a deadlock"
	})
}

// stretches lists the closed gaps; each has a stretch that ends where it was closed.
func stretches(t *testing.T, rig *capturetest.Rig) []string {
	t.Helper()
	return pgtest.Values[string](t, rig.DB, `select format('%s: added %s, announced %s, behind %s', reason, added,
		announce, from_lsn < to_lsn) from attendee_relay.gap where ended_at is not null order by number`)
}

// A relay that finds the bookkeeping gone reports it with the number of rows accepted by then. These are not announced
// on a guess, and rows accepted afterwards are announced as usual.
func TestBookkeepingThatIsGoneIsSaid(t *testing.T) {
	t.Parallel()
	whileStopped := func(t *testing.T, rig *capturetest.Rig) {
		rig.Stop(t)
		rig.DB.Exec(t, dropBooks)
		rig.DB.Exec(t, "insert into people values (2, 'Accepted')")
		rig.Start(t)
	}
	for name, c := range map[string]struct {
		lose     func(*testing.T, *capturetest.Rig)
		baseline string
		want     string
		keys     []string
	}{
		"dropped under a relay": {func(t *testing.T, rig *capturetest.Rig) {
			dropUnder(t, rig, dropBooks)
			rig.DB.Exec(t, "insert into people values (2, 'Accepted')")
		}, "mark", "books_lost: added 2, announced f, behind t", []string{"3"}},
		"dropped with the slot": {func(t *testing.T, rig *capturetest.Rig) {
			dropUnder(t, rig, "drop schema attendee_relay cascade") // the relay may not make it
			rig.DB.Exec(t, "insert into people values (2, 'Accepted')")
			rig.DB.Exec(t, "select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1",
				rig.Source.Slot)
			pool := rig.DB.OwnerPool(t) // a DBA
			pgtest.WaitUntil(t, capturetest.Patience, "the slot is dropped", func() (bool, string) {
				_, err := pool.Exec(t.Context(), `select pg_drop_replication_slot(slot_name) from pg_replication_slots
					where slot_name = $1`, rig.Source.Slot)
				return err == nil, "in use"
			})
			rig.DB.Exec(t, "create schema attendee_relay authorization attendee_relay")
		}, "mark", "books_lost: added 2, announced f, behind t", []string{"3"}},
		"dropped while no relay ran": {whileStopped, "mark", "slot_older: added 2, announced f, behind t", []string{"3"}},
		"dropped, and all is to be announced": {whileStopped, "send", "slot_older: added 2, announced t, behind t",
			[]string{"1", "2", "3"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig := newRig(t, pgtest.New(t, pgtest.Empty()), people)
			rig.Outbox.Baseline = c.baseline
			rig.Start(t)
			rig.AwaitLeading(t)
			rig.DB.Exec(t, "insert into people values (1, 'Accepted')")
			rig.CaughtUp(t)
			if got := stretches(t, rig); len(got) != 0 {
				t.Fatalf("a first start has the gaps %q", got)
			}
			c.lose(t, rig)
			pgtest.WaitUntil(t, capturetest.Patience, "a new baseline was taken", func() (bool, string) {
				const taken = `select count(*) from pg_class where oid = to_regclass('attendee_relay.gap')`
				return pgtest.Value[int64](t, rig.DB, taken) == 1 && len(stretches(t, rig)) > 0, "not yet"
			})
			if got := stretches(t, rig); !slices.Equal(got, []string{c.want}) {
				t.Errorf("the gaps are %q", got)
			}
			rig.DB.Exec(t, "insert into people values (3, 'Accepted')")
			rig.Settled(t)
			if got := rig.Keys(t); !slices.Equal(got, c.keys) {
				t.Errorf("announced are %q, want %q", got, c.keys)
			}
		})
	}
}
