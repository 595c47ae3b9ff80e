package outbox_test

import (
	"slices"
	"testing"
	"time"

	"attendee-relay/internal/pgtest"
	"attendee-relay/outbox"
)

// The ledger has a row that was not there when it was read, because somebody has put it there by hand.
func TestALedgerRowThatIsThereAlreadyStopsNothing(t *testing.T) {
	t.Parallel()
	rig := peopleRig(t, peopleTable)
	rig.Start(t)
	rig.AwaitLeading(t)
	// The recorder's transaction passes the fence first.
	rig.DB.Exec(t, `create function faster() returns trigger language plpgsql set search_path = public as $$ begin
		insert into attendee_relay.ledger (identity) select id::text from people on conflict do nothing; return new; end $$`)
	rig.DB.Exec(t, "create trigger faster before update on attendee_relay.checkpoint for each row execute function "+
		"faster()")
	rig.DB.Exec(t, "insert into people values (1, 'Accepted'), (2, 'Accepted')")
	rig.CaughtUp(t)
	if rows := pgtest.Values[string](t, rig.DB,
		"select identity from attendee_relay.ledger where commit_lsn is not null order by identity"); !slices.Equal(rows,
		[]string{"1", "2"}) {
		t.Errorf("recorded: %q", rows)
	}
	if n := pgtest.Value[int](t, rig.DB, "select count(*) from attendee_relay.message"); n != 2 {
		t.Errorf("%d messages", n)
	}
}

// A database whose books and slot are older than its outbox: what is recorded again is not written, or sent, again.
func TestMessagesThatAreThereAlreadyAreNotWrittenAgain(t *testing.T) {
	t.Parallel()
	rig := peopleRig(t, peopleTable)
	rig.Start(t)
	rig.AwaitLeading(t)
	slot := rig.DB.Name()
	early := pgtest.Value[string](t, rig.DB, "select lsn::text from attendee_relay.checkpoint")
	rig.DB.Exec(t, "select pg_copy_logical_replication_slot($1, $2)", slot, slot+"_early")
	rig.DB.Exec(t, "insert into people values (1, 'Accepted'), (2, 'Accepted')")
	rig.CaughtUp(t)
	rig.Stop(t)
	rig.DB.AwaitFreeSlot(t, slot)
	rig.DB.Exec(t, "select pg_drop_replication_slot($1)", slot)
	rig.DB.Exec(t, "select pg_copy_logical_replication_slot($1, $2)", slot+"_early", slot)
	rig.DB.Exec(t, "select pg_drop_replication_slot($1)", slot+"_early")
	rig.DB.Exec(t, "update attendee_relay.checkpoint set lsn = $1::text::pg_lsn", early)
	rig.DB.Exec(t, "delete from attendee_relay.ledger")
	rig.Start(t)
	rig.DB.Exec(t, "insert into people values (3, 'Accepted')")
	rig.CaughtUp(t)
	rows := pgtest.Values[string](t, rig.DB, "select identity from attendee_relay.message order by identity")
	if !slices.Equal(rows, []string{"1", "2", "3"}) {
		t.Errorf("messages: %q", rows)
	}
	if n := pgtest.Value[int](t, rig.DB, "select count(*) from attendee_relay.pending"); n != 3 {
		t.Errorf("%d are to be sent", n)
	}
}

func TestWhatHasEndedAlreadyIsSettledOnce(t *testing.T) {
	t.Parallel()
	rig, q := newQueue(t, 1, 1, 2)
	claimed := claim(t, q, 2, 8, time.Minute, nil)
	rig.DB.Exec(t, "insert into attendee_relay.settled (id, state, settled_at, attempts) values ($1, 'dead', now(), 7)",
		claimed[0].Row)
	rig.DB.Exec(t, "insert into attendee_relay.exchange (message, number, started_at, duration_ms) values ($1, 1, "+
		"now(), 1)", claimed[1].Row)
	well := attempt
	well.Status, well.Error = 200, ""
	settle(t, q, outbox.Settled{Applied: 2}, outbox.Settlement{Message: claimed[0], Outcome: outbox.Delivered(well)},
		outbox.Settlement{Message: claimed[1], Outcome: outbox.Delivered(well)})
	if rows := pgtest.Values[string](t, rig.DB,
		"select format('%s %s', state, attempts) from attendee_relay.outbox order by state"); !slices.Equal(rows,
		[]string{"dead 7", "delivered 1"}) {
		t.Errorf("ended: %q", rows)
	}
	if left := pgtest.Value[int](t, rig.DB, "select count(*) from attendee_relay.pending"); left != 0 {
		t.Errorf("%d messages would be sent again", left)
	}
}
