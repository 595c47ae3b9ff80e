package replication

import (
	"context"
	_ "embed"
	"errors"
	"fmt"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/fault"
)

//go:embed slot_was_read.sql
var slotWasReadSQL string

// Missing says why a first start may not be one: a gap's reason.
type Missing string

const (
	// BooksLost is that this process had the bookkeeping, and somebody has dropped it since.
	BooksLost Missing = "books_lost"
	// SlotOlder is that the slot was read before the bookkeeping was made: the bookkeeping that was there is lost.
	SlotOlder Missing = "slot_older"
)

// missing reports whether rows that a first baseline shows may have been accepted where the stream was read before, or
// could have been, and from where on; "": as far as can be known they were not. A slot that nobody has read yet was
// made for this start.
//
// They are not announced all the same, unless SOURCE_BASELINE says so: without the ledger of that time an edit of a row
// that was accepted long ago looks like its acceptance.
func (c *Capture) missing(ctx context.Context, sql *pgx.Conn, at Position, s *slot, phase Phase) (Missing,
	pglogrepl.LSN, error) {
	had := pglogrepl.LSN(c.recorded.Load())
	switch {
	case at.LSN > 0:
		return "", 0, nil
	case had > 0:
		return BooksLost, had, nil
	case phase != PhaseGivenSlot:
		return "", 0, nil
	}
	read, err := slotWasRead(ctx, sql, c.config.Slot)
	if err != nil || !read {
		return "", 0, err
	}
	return SlotOlder, s.confirmed, nil
}

// slotWasRead reports whether the slot has been read. A role that may not know is told yes: a gap reported in vain is
// the lesser harm.
func slotWasRead(ctx context.Context, sql *pgx.Conn, name string) (read bool, err error) {
	err = ask(ctx, sql, fmt.Sprintf("reading whether replication slot %q was read", name), slotWasReadSQL, []any{name},
		&read)
	if _, denied := errors.AsType[fault.Denied](err); denied {
		return true, nil
	}
	return read, err
}
