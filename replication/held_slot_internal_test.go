package replication

import (
	"errors"
	"testing"

	"github.com/jackc/pglogrepl"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/secret"
)

// A slot that moves on between the look at it and the start of the stream is noticed.
func TestASlotThatMovedMeanwhileIsALoss(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, pgtest.Empty())
	db.Exec(t, "select pg_create_logical_replication_slot($1, 'pgoutput')", db.Name())
	const confirmed = "select confirmed_flush_lsn::text from pg_replication_slots where slot_name = $1"
	lsn, err := pglogrepl.ParseLSN(pgtest.Value[string](t, db, confirmed, db.Name()))
	if err != nil {
		t.Fatal(err)
	}
	c := &Capture{config: Config{Slot: db.Name()}, url: secret.New(db.URL())}
	at := Position{Phase: PhaseStreaming, LSN: lsn}
	if err := c.checkHeld(t.Context(), at); err != nil {
		t.Fatalf("where the checkpoint is: %v", err)
	}
	db.Exec(t, "create table people (id int)")
	db.Exec(t, "select pg_replication_slot_advance($1, pg_current_wal_lsn())", db.Name())
	var f *fault.Fault
	if err := c.checkHeld(t.Context(), at); !errors.As(err, &f) || f.Code != fault.SlotLost {
		t.Errorf("past the checkpoint: %v", err)
	}
}
