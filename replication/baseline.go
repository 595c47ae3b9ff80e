package replication

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"

	"attendee-relay/internal/fault"
)

// begin brings ledger and table together at the start of a slot, and returns where streaming goes on. It leads before:
// what a predecessor left half recorded is finished first, and what it might still write is fenced off.
func (c *Capture) begin(ctx context.Context, sql *pgx.Conn, conn *pgconn.PgConn, source *Source, s *slot, phase Phase,
	lost *fault.Fault) (Position, error) {
	at, err := c.books.Lead(ctx)
	if err != nil {
		return Position{}, fmt.Errorf("taking the bookkeeping over: %w", err)
	}
	if err := c.recorder.Resume(ctx); err != nil {
		return Position{}, fmt.Errorf("finishing what was half recorded: %w", err)
	}
	if lost != nil {
		c.log.Error("commits after the checkpoint cannot be read: starting over and comparing the ledger "+
			"with the table",
			zap.String("fault", string(lost.Code)), zap.String("reason", lost.Message), zap.Stringer("checkpoint", at.LSN))
	}
	if err := c.books.Begin(ctx, phase, lost); err != nil {
		return Position{}, err
	}
	missing, from, err := c.missing(ctx, sql, at, s, phase)
	if err != nil {
		return Position{}, err
	}
	if missing != "" {
		c.log.Error("the bookkeeping is new: rows accepted before its baseline count as accepted before the first start",
			zap.String("reason", string(missing)), zap.Stringer("from_lsn", from))
		if err := c.books.Miss(ctx, missing, from); err != nil {
			return Position{}, err
		}
	}
	if phase == PhaseGivenSlot {
		err = c.books.Take(ctx, s.confirmed, "")
	} else {
		err = c.takeFromOwnSlot(ctx, sql, conn, source)
	}
	if err != nil {
		return Position{}, err
	}
	if missing != "" {
		c.resyncs.Add(1)
	}
	if at.LSN > 0 {
		c.resyncs.Add(1)
		c.resynced, c.resyncedAt = true, time.Now()
	}
	c.unreadable = nil
	// The baseline's checkpoint may lie beyond where the WAL ended when the connection was opened.
	cluster, err := identify(ctx, conn)
	if err != nil {
		return Position{}, err
	}
	return c.books.Open(ctx, cluster, source)
}

// takeFromOwnSlot makes the slot and reads the accepted rows in the snapshot that it exports: what is in neither the
// snapshot nor the stream, or in both, does not exist. A crash anywhere in it leaves the phase, and the next start
// drops the slot and begins again.
//
// A slot that existed before exports no snapshot: then the baseline uses an ordinary one, and the bookkeeping skips the
// streamed transactions that it shows already.
func (c *Capture) takeFromOwnSlot(ctx context.Context, sql *pgx.Conn, conn *pgconn.PgConn, source *Source) error {
	if err := dropSlot(ctx, sql, c.config.Slot); err != nil {
		return err
	}
	waiting := time.AfterFunc(slotPatience, c.showSlotPending)
	start, snapshot, err := createSlot(ctx, conn, c.config, source.ServerVersion)
	waiting.Stop()
	c.passed(fault.SlotPending)
	if err != nil {
		return err
	}
	err = c.unaltered(ctx, sql, source)
	if err == nil {
		err = c.books.Take(ctx, start, snapshot)
	}
	if err != nil {
		// Left behind, the slot would keep WAL for as long as the baseline cannot be taken.
		closeWalsender(conn)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return errors.Join(err, dropSlot(ctx, sql, c.config.Slot))
	}
	return nil
}

// unaltered refuses to continue with a table that was altered while the slot was made: making the slot may have waited
// for a migration.
func (c *Capture) unaltered(ctx context.Context, sql *pgx.Conn, source *Source) error {
	now, err := ReadSource(ctx, sql, c.config)
	if err != nil {
		return err
	}
	if _, err := checkPublication(ctx, sql, c.config, now); err != nil {
		return err
	}
	if !source.same(now) {
		return fmt.Errorf("%s was altered while the replication slot was made", source.Name())
	}
	return nil
}

// slotPatience is how long making the slot may take before it is shown as a fault.
const slotPatience = 5 * time.Second

func (c *Capture) slotPending() *fault.Fault {
	return fault.New(fault.SlotPending, "replication slot %q is being made, which waits for every transaction that was "+
		"open when that began, prepared ones too", c.config.Slot).
		WithFix("SELECT pid, xact_start, state FROM pg_stat_activity WHERE backend_xid IS NOT NULL ORDER BY xact_start; " +
			"SELECT * FROM pg_prepared_xacts; then end what is left over")
}

func (c *Capture) showSlotPending() {
	f := c.slotPending()
	if c.board.Raise(f) {
		c.log.Warn("making the replication slot waits for open transactions", zap.String("fault", string(f.Code)))
	}
}
