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
	"attendee-relay/internal/postgres"
)

// checkTimeout bounds each round of questions to the catalog.
const checkTimeout = 30 * time.Second

// prepare checks everything before it touches anything, makes what is missing, and returns a connection on which the
// stream can start.
func (c *Capture) prepare(ctx context.Context) (*pgconn.PgConn, Position, *Source, error) {
	sql, err := postgres.Direct(ctx, c.url, c.name("setup"))
	if err != nil {
		return nil, Position{}, nil, fmt.Errorf("connecting for replication: %w", err)
	}
	// Closing releases the setup lock as well.
	defer func() { _ = sql.Close(context.WithoutCancel(ctx)) }()
	source, err := c.check(ctx, sql)
	if err != nil {
		return nil, Position{}, nil, err
	}
	conn, cluster, err := c.connectWalsender(ctx)
	if err != nil {
		return nil, Position{}, nil, err
	}
	at, err := c.setUp(ctx, sql, conn, cluster, source)
	if err != nil {
		closeWalsender(conn)
		return nil, Position{}, nil, err
	}
	return conn, at, source, nil
}

// SetUp makes what is missing, publication, slot and baseline, and returns without streaming. A second call finds
// everything there and changes nothing. While another relay captures there is nothing to make.
func (c *Capture) SetUp(ctx context.Context) error {
	conn, _, _, err := c.prepare(ctx)
	if errors.Is(err, errStandby) {
		return nil
	}
	if err != nil {
		return err
	}
	closeWalsender(conn)
	return nil
}

// check reads the catalog and refuses what cannot work; it changes nothing. A standby learns here that it is one.
func (c *Capture) check(ctx context.Context, sql *pgx.Conn) (*Source, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, checkTimeout, errors.New("the database did not answer the start-up checks in time"))
	defer cancel()
	if err := checkServer(ctx, sql); err != nil {
		return nil, err
	}
	source, err := ReadSource(ctx, sql, c.config)
	if err != nil {
		return nil, err
	}
	published, missing := checkPublication(ctx, sql, c.config, source)
	if missing != nil && (published || c.config.Setup != "auto") {
		return nil, missing
	}
	s, err := readSlot(ctx, sql, c.config.Slot)
	if err != nil {
		return nil, err
	}
	switch {
	case s == nil && c.config.Setup != "auto":
		return nil, c.slotMissing()
	case s == nil && !published:
		return source, errors.Join(checkFreeSlot(ctx, sql), checkMayPublish(ctx, sql, c.config, source))
	case s == nil:
		return source, checkFreeSlot(ctx, sql)
	}
	if err := s.usable(c.config.Slot); err != nil {
		return nil, err
	}
	switch {
	case !published:
		// Made now, the publication would not exist at the time that the slot reads from, and the stream would fail for ever.
		return nil, missing
	case s.active:
		return nil, c.held(s)
	default:
		return source, nil
	}
}

// held says by whom a slot is held: by a relay of this deployment, which leads, or by somebody else.
func (c *Capture) held(s *slot) error {
	if s.holder == "" || s.holder == c.name("walsender") {
		return errStandby
	}
	return fault.New(fault.SlotBusy, "replication slot %q is in use by %q, process %d of the server (REPLICATION_SLOT)", c.config.Slot, s.holder, s.pid).
		WithFix(fmt.Sprintf("SELECT pg_terminate_backend(%d), or set REPLICATION_SLOT to a free name", s.pid))
}

// setUp makes publication, slot and baseline where they are missing, one process at a time.
func (c *Capture) setUp(ctx context.Context, sql *pgx.Conn, conn *pgconn.PgConn, cluster Cluster, source *Source) (Position, error) {
	locked, err := tryLock(ctx, sql)
	if err != nil {
		return Position{}, fmt.Errorf("taking the setup lock: %w", err)
	}
	if !locked {
		return Position{}, errStandby
	}
	at, err := c.books.Open(ctx, cluster, source)
	if err != nil {
		return Position{}, err
	}
	s, err := readSlot(ctx, sql, c.config.Slot)
	if err != nil {
		return Position{}, err
	}
	if at.Phase == PhaseStreaming {
		// A publication that is gone is not made anew here: what the table did without it is not in the stream.
		if _, err := checkPublication(ctx, sql, c.config, source); err != nil {
			return Position{}, err
		}
		return at, c.checkSlot(s, at)
	}
	if err := ensurePublication(ctx, sql, c.config, source); err != nil {
		return Position{}, err
	}
	c.log.Info("first start: taking the baseline", zap.String("phase", string(at.Phase)), zap.Bool("slot_exists", s != nil))
	switch {
	case at.Phase == PhaseGivenSlot || at.Phase == PhaseNew && s != nil:
		err = c.baselineOfGivenSlot(ctx, s)
	case c.config.Setup != "auto":
		err = c.slotMissing()
	default:
		err = c.baselineOfOwnSlot(ctx, sql, conn, source)
	}
	if err != nil {
		return Position{}, err
	}
	// The baseline's checkpoint may lie beyond where the WAL ended when the connection was opened.
	if cluster, err = identify(ctx, conn); err != nil {
		return Position{}, err
	}
	return c.books.Open(ctx, cluster, source)
}

// checkSlot refuses to go on with a slot that cannot repeat all that comes after the checkpoint. A missing slot is never
// made again at the present position: everything in between would be lost without a word.
func (c *Capture) checkSlot(s *slot, at Position) error {
	if s == nil {
		return c.slotMissing()
	}
	if s.confirmed > at.LSN {
		return fault.New(fault.SlotLost, "slot %q was moved to %s by somebody else, past the checkpoint %s: the transactions between were never read",
			c.config.Slot, s.confirmed, at.LSN)
	}
	return nil
}

func (c *Capture) slotMissing() error {
	return fault.New(fault.SlotMissing, "replication slot %q does not exist (REPLICATION_SLOT)", c.config.Slot).
		WithFix("SELECT pg_create_logical_replication_slot(" + quoteLiteral(c.config.Slot) + ", 'pgoutput')")
}

// baselineOfOwnSlot makes the slot and reads the accepted rows in the snapshot that it exports: what is in neither the
// snapshot nor the stream, or in both, does not exist. A crash anywhere in it leaves the phase, and the next start
// drops the slot and begins again.
func (c *Capture) baselineOfOwnSlot(ctx context.Context, sql *pgx.Conn, conn *pgconn.PgConn, source *Source) error {
	if err := c.books.Baseline(ctx, PhaseOwnSlot, 0, ""); err != nil {
		return err
	}
	if err := dropSlot(ctx, sql, c.config.Slot); err != nil {
		return err
	}
	start, snapshot, err := createSlot(ctx, conn, c.config, source.ServerVersion)
	if err != nil {
		return err
	}
	if err := c.books.Baseline(ctx, PhaseStreaming, start, snapshot); err != nil {
		// Left behind, the slot would keep WAL for as long as the baseline cannot be taken.
		closeWalsender(conn)
		return errors.Join(err, dropSlot(ctx, sql, c.config.Slot))
	}
	return nil
}

// baselineOfGivenSlot reads the accepted rows in an ordinary snapshot, because a slot made earlier exports none; the
// bookkeeping skips the streamed transactions that the snapshot shows already.
func (c *Capture) baselineOfGivenSlot(ctx context.Context, s *slot) error {
	if s == nil {
		return c.slotMissing()
	}
	if err := c.books.Baseline(ctx, PhaseGivenSlot, 0, ""); err != nil {
		return err
	}
	return c.books.Baseline(ctx, PhaseStreaming, s.confirmed, "")
}

func isAnyFault(err error) bool {
	var f *fault.Fault
	return errors.As(err, &f)
}
