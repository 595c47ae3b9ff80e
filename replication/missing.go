package replication

import "github.com/jackc/pglogrepl"

// Missing says why a first start may not be one: a gap's reason.
type Missing string

const (
	// BooksLost is that this process had the bookkeeping, and somebody has dropped it since.
	BooksLost Missing = "books_lost"
	// SlotOlder is that the slot was there before the bookkeeping. Somebody made it for this start, or the bookkeeping
	// that was there is lost.
	SlotOlder Missing = "slot_older"
)

// missing says whether rows that a first baseline shows may have been accepted where the stream was read before, or
// could have been, and from where on; "": as far as can be known they were not.
//
// They are not announced all the same, unless SOURCE_BASELINE says so: without the ledger of that time an edit of a row
// that was accepted long ago looks like its acceptance.
func (c *Capture) missing(at Position, s *slot, phase Phase) (reason Missing, from pglogrepl.LSN) {
	had := pglogrepl.LSN(c.recorded.Load())
	switch {
	case at.LSN > 0:
		return "", 0
	case had > 0:
		return BooksLost, had
	case phase == PhaseGivenSlot:
		return SlotOlder, s.confirmed
	default:
		return "", 0
	}
}
