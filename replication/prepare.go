package replication

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/postgres"
)

// checkTimeout bounds each round of questions to the catalog.
const checkTimeout = 30 * time.Second

// prepare checks everything before it touches anything, makes what is missing, and returns a connection on which the
// stream can start.
func (c *Capture) prepare(ctx context.Context) (*pgconn.PgConn, Position, *Source, error) {
	c.locked = false
	// The checks of a first start look at the operator's query under the search_path that it is run under.
	sql, err := postgres.DirectForQuery(ctx, c.url, c.name("setup"))
	if err != nil {
		return nil, Position{}, nil, fmt.Errorf("connecting for replication: %w", err)
	}
	// Closing releases the setup lock as well.
	defer func() { _ = sql.Close(context.WithoutCancel(ctx)) }()
	defer time.AfterFunc(c.board.Limit()/2, c.forgetFaults).Stop()
	source, err := c.check(ctx, sql)
	if err != nil {
		return nil, Position{}, nil, err
	}
	if err := c.preflight(ctx, sql); err != nil {
		return nil, Position{}, nil, err
	}
	conn, cluster, err := c.connectWalsender(ctx)
	if err != nil {
		return nil, Position{}, nil, err
	}
	c.session = conn.PID()
	at, err := c.setUp(ctx, sql, conn, cluster, source)
	if err != nil {
		closeWalsender(conn)
		return nil, Position{}, nil, err
	}
	return conn, at, source, nil
}

// forgetFaults takes the faults of earlier tries off the board where a later try is connected and takes long: they
// would hide that it hangs. SlotPending is this try's own.
func (c *Capture) forgetFaults() {
	c.passed(besides(fault.SlotPending, obstacles)...)
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

// check reads the catalog and refuses what cannot work; it changes nothing.
func (c *Capture) check(ctx context.Context, sql *pgx.Conn) (*Source, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, checkTimeout,
		errors.New("the database did not answer the start-up checks in time"))
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
	if err := s.ours(c.config.Slot); err != nil {
		return nil, err
	}
	if !published {
		// Made now, the publication would not exist at the time that the slot reads from, and the stream would fail for ever.
		return nil, missing
	}
	return source, c.checkSlot(ctx, s)
}

// checkSlot refuses a slot that somebody else reads. A standby learns here that it is one.
func (c *Capture) checkSlot(ctx context.Context, s *slot) error {
	switch {
	case s.beingMade():
		return nil // by a relay that holds the setup lock, or by a walsender whose relay is dead
	case s.active:
		return c.held(s)
	case s.lost():
		return c.checkKnown(ctx)
	default:
		return nil
	}
}

// checkKnown refuses a lost slot on a first start: whose it was is not known.
func (c *Capture) checkKnown(ctx context.Context) error {
	known, err := c.books.Exist(ctx)
	if err == nil && !known {
		return c.slotLost()
	}
	return err
}

// lostSessionError: the slot is held by a session of this process that the server has not ended yet. Nobody leads, so
// this process does not stand by.
type lostSessionError struct{ pid uint32 }

func (e *lostSessionError) Error() string {
	return fmt.Sprintf("the replication slot is still held by a session that this relay has lost, "+
		"process %d of the server: the server ends it after REPLICATION_TAKEOVER unless it hangs; "+
		"SELECT pg_catalog.pg_terminate_backend(%d) ends it at once",
		e.pid, e.pid)
}

// held returns who holds the slot: a lost session of this process, a relay of this deployment, which leads, or somebody
// else.
func (c *Capture) held(s *slot) error {
	if c.session != 0 && int64(s.pid) == int64(c.session) {
		return &lostSessionError{c.session}
	}
	if s.holder == "" || s.holder == c.name("walsender") {
		return errStandby
	}
	return fault.New(fault.SlotBusy, "replication slot %q is in use by %q, process %d of the server (REPLICATION_SLOT)",
		c.config.Slot, s.holder, s.pid).
		WithFix(fmt.Sprintf("SELECT pg_catalog.pg_terminate_backend(%d), or set REPLICATION_SLOT to a free name", s.pid))
}

// setUp makes publication, slot and baseline where they are missing, one process at a time.
func (c *Capture) setUp(ctx context.Context, sql *pgx.Conn, conn *pgconn.PgConn, cluster Cluster,
	source *Source) (Position, error) {
	locked, err := tryLock(ctx, sql)
	if err != nil {
		return Position{}, fmt.Errorf("taking the setup lock: %w", err)
	}
	if !locked {
		return Position{}, errSettingUp
	}
	c.locked = true
	at, err := c.books.Open(ctx, cluster, source)
	if err != nil {
		return Position{}, err
	}
	s, err := readSlot(ctx, sql, c.config.Slot)
	if err != nil {
		return Position{}, err
	}
	if err := c.checkOldSlot(ctx, sql, at); err != nil {
		return Position{}, err
	}
	var lost *fault.Fault
	if at.Phase == PhaseStreaming {
		lost, err = c.checkStreaming(ctx, sql, at, s, source)
		if err != nil {
			return Position{}, err
		}
		if lost == nil {
			return at, c.dropOldSlot(ctx, sql, at)
		}
	}
	phase, err := c.plan(at, s, lost)
	if err != nil {
		return Position{}, err
	}
	if err := ensurePublication(ctx, sql, c.config, source); err != nil {
		return Position{}, err
	}
	began, err := c.begin(ctx, sql, conn, source, s, phase, lost)
	if err != nil {
		return Position{}, err
	}
	return began, c.dropOldSlot(ctx, sql, at)
}

// checkStreaming reports whether streaming can continue from the checkpoint: the loss if it cannot, or a fault that
// prevents both streaming and a resync.
func (c *Capture) checkStreaming(ctx context.Context, sql *pgx.Conn, at Position, s *slot,
	source *Source) (lost *fault.Fault, err error) {
	if err := c.unchanged(at, source); err != nil {
		return nil, err
	}
	if s != nil && s.beingMade() { // where it will begin is not known yet
		return nil, c.slotPending()
	}
	if s != nil { // a publication that is gone is recreated only with the slot
		if _, err := checkPublication(ctx, sql, c.config, source); err != nil {
			return nil, err
		}
	}
	return c.lost(at, s, source), nil
}

func (c *Capture) unchanged(at Position, source *Source) error {
	if at.Pins == nil {
		return nil
	}
	if f := at.Pins.drifted(source.Pins, source.Name()); f != nil {
		return f
	}
	return nil
}

func isAnyFault(err error) bool {
	var f *fault.Fault
	return errors.As(err, &f)
}
