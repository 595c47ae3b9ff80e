package replication

import (
	"errors"
	"time"

	"github.com/jackc/pglogrepl"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/postgres"
)

// unreadable is what the stream carried and the catalog of now does not explain: it was written while the table or the
// publication was another.
type unreadable struct {
	fault *fault.Fault
	// status is one that the catalog did not explain; "" if the loss is another.
	status string
	// again: it came right after a resync, which therefore is no way out.
	again bool
	// at is the checkpoint when it was met: another relay may have gone on from there.
	at pglogrepl.LSN
}

// drift is what the assembler does not understand: a fault, with the status value that is unknown if it is about one.
type drift struct {
	*fault.Fault
	status string
}

// Unwrap gives errors.As the fault.
func (d *drift) Unwrap() error { return d.Fault }

func newDrift(format string, args ...any) *drift {
	return &drift{Fault: fault.New(fault.SourceDrift, format, args...)}
}

// judge remembers why the stream could not be read. Whether it must be given up is decided with the next look at the
// catalog: most often that shows what is wrong, and it can be fixed.
func (c *Capture) judge(err error) {
	again := c.resynced && !c.progressed
	var d *drift
	switch {
	case errors.As(err, &d):
		c.unreadable = &unreadable{fault: d.Fault, status: d.status, again: again, at: pglogrepl.LSN(c.recorded.Load())}
	case postgres.Code(err) == "42704":
		// The slot reads from a time at which the publication did not exist, and will for ever (PostgreSQL 14 to 17).
		c.unreadable = &unreadable{again: again, at: pglogrepl.LSN(c.recorded.Load()),
			fault: fault.New(fault.PublicationMissing,
				"publication %q did not exist at the position from which the slot must be read", c.config.Publication)}
	case c.progressed:
		c.unreadable = nil
	}
	c.resynced = again
}

// lost says why the stream cannot be read on from the checkpoint; nil: it can. Nobody's repair brings back what is then
// missing from it: ledger and table must be compared, from a new slot.
func (c *Capture) lost(at Position, s *slot, source *Source) *fault.Fault {
	if f := c.unreachable(at, s); f != nil {
		return f
	}
	if at.Pins != nil {
		if f := at.Pins.remade(source.Pins, source.Name()); f != nil {
			return f
		}
	}
	u := c.unreadable
	if u == nil || u.at != at.LSN {
		return nil
	}
	if u.status != "" && source.knows(u.status) {
		return nil // the label was added after the catalog had been read
	}
	return u.fault
}

// unreachable says why the slot does not reach back to the checkpoint; nil: it does.
func (c *Capture) unreachable(at Position, s *slot) *fault.Fault {
	switch {
	case s == nil:
		return c.slotMissing()
	case s.lost():
		return c.slotLost()
	case s.confirmed > at.LSN:
		return c.slotMoved(at, s)
	default:
		return nil
	}
}

func (c *Capture) slotMoved(at Position, s *slot) *fault.Fault {
	return fault.New(fault.SlotLost, "slot %q was moved to %s or recreated by somebody else, past the checkpoint %s: "+
		"the transactions between were never read", c.config.Slot, s.confirmed, at.LSN)
}

// resyncRest is the least time between two resyncs that the stream makes necessary, so that nothing loops.
const resyncRest = time.Minute

// plan decides how a baseline begins: with a slot that the relay makes, or with one that exists. lost is nil on a first
// start, and if a baseline was begun before.
func (c *Capture) plan(at Position, s *slot, lost *fault.Fault) (Phase, error) {
	if s != nil && s.beingMade() && at.Phase != PhaseOwnSlot {
		return "", c.slotPending()
	}
	usable := s != nil && !s.lost()
	if lost != nil && usable {
		return c.planAfterLoss(at, s, lost)
	}
	auto := c.config.Setup == "auto"
	switch {
	case lost != nil && c.config.OnLoss != "resync":
		return "", stopped(lost)
	case usable && (at.Phase != PhaseOwnSlot || !auto):
		return PhaseGivenSlot, nil
	case auto:
		return PhaseOwnSlot, nil
	case s == nil:
		return "", c.slotMissing()
	default:
		return "", c.slotLost()
	}
}

// planAfterLoss is plan for a slot that could be read, but not from the checkpoint or not as it is.
func (c *Capture) planAfterLoss(at Position, s *slot, lost *fault.Fault) (Phase, error) {
	again := c.unreadable != nil && c.unreadable.again && time.Since(c.resyncedAt) < resyncRest
	switch {
	case c.config.OnLoss != "resync":
		return "", stopped(lost)
	case s.confirmed > at.LSN:
		return PhaseGivenSlot, nil // somebody recreated or moved it
	case c.config.Setup != "auto":
		return "", lost.WithFix(c.remakeSlotSQL())
	case again:
		return "", lost.WithFix("nothing, if the table is as it should be: a minute after the last comparison the next one " +
			"begins")
	default:
		return PhaseOwnSlot, nil
	}
}

// stopped is a loss under REPLICATION_ON_LOSS=stop.
func stopped(lost *fault.Fault) *fault.Fault {
	f := *lost
	return f.WithFix("attendee-relay adopt --keep-pending --yes: makes a new slot, compares ledger and table and " +
		"announces what is missing (REPLICATION_ON_LOSS is stop)")
}

func (c *Capture) slotMissing() *fault.Fault {
	return fault.New(fault.SlotMissing, "replication slot %q does not exist (REPLICATION_SLOT)", c.config.Slot).
		WithFix("SELECT pg_catalog.pg_create_logical_replication_slot(" + quoteLiteral(c.config.Slot) + ", 'pgoutput')")
}

func (c *Capture) slotLost() *fault.Fault {
	return fault.New(fault.SlotLost, "replication slot %q is lost: Postgres has removed WAL that was not read yet",
		c.config.Slot).
		WithFix(c.remakeSlotSQL())
}

func (c *Capture) remakeSlotSQL() string {
	name := quoteLiteral(c.config.Slot)
	return "SELECT pg_catalog.pg_drop_replication_slot(" + name +
		"); SELECT pg_catalog.pg_create_logical_replication_slot(" + name + ", 'pgoutput')"
}
