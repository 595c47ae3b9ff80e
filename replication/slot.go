package replication

import (
	"context"
	_ "embed"
	"errors"
	"fmt"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/postgres"
)

var (
	//go:embed slot.sql
	slotSQL string
	//go:embed slots_left.sql
	slotsLeftSQL string
	//go:embed slot_end_reader.sql
	slotEndReaderSQL string
)

// slot is the replication slot as the catalog sees it.
type slot struct {
	kind, plugin, database string
	temporary, active      bool
	pid                    int
	holder                 string
	walStatus, invalidated string
	confirmed              pglogrepl.LSN
	ownDatabase            string
}

// readSlot returns nil when there is no slot of that name.
func readSlot(ctx context.Context, conn *pgx.Conn, name string) (*slot, error) {
	var s slot
	var confirmed string
	err := ask(ctx, conn, fmt.Sprintf("reading replication slot %q", name), slotSQL, []any{name},
		&s.kind, &s.plugin, &s.database, &s.temporary, &s.active, &s.pid, &s.holder, &s.walStatus, &s.invalidated,
		&confirmed, &s.ownDatabase)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s.confirmed, err = pglogrepl.ParseLSN(confirmed)
	return &s, err
}

// beingMade reports whether somebody creates the slot at this moment, which may take long: it has no position yet.
func (s *slot) beingMade() bool { return s.active && s.confirmed == 0 }

// lost reports whether Postgres has removed WAL that the slot needs. The catalog decides, not the words of an error,
// because those differ between versions.
func (s *slot) lost() bool { return s.walStatus == "lost" || s.invalidated != "" }

// ours refuses a slot that somebody else made for something else.
func (s *slot) ours(name string) error {
	switch {
	case s.kind != "logical" || s.plugin != "pgoutput" || s.temporary:
		return fault.New(fault.SlotLost,
			"replication slot %q is not a permanent logical slot of pgoutput: somebody else made it (REPLICATION_SLOT)", name).
			WithFix("set REPLICATION_SLOT to a free name")
	case s.database != s.ownDatabase:
		return fault.New(fault.SlotLost, "replication slot %q belongs to database %q (REPLICATION_SLOT)", name, s.database).
			WithFix("set REPLICATION_SLOT to a free name")
	}
	return nil
}

// checkOldSlot refuses to capture through a slot of another name than before while a relay still reads the old one: the
// two would take the lead from each other for ever.
func (c *Capture) checkOldSlot(ctx context.Context, conn *pgx.Conn, at Position) error {
	old := at.oldSlot(c.config.Slot)
	if old == "" {
		return nil
	}
	s, err := readSlot(ctx, conn, old)
	if err != nil || s == nil || !s.active || s.ours(old) != nil {
		return err // of another database: this one is a copy
	}
	return fault.New(fault.SlotBusy,
		"a relay of this deployment captures through replication slot %q, and REPLICATION_SLOT is %q", old, c.config.Slot).
		WithFix("stop the relays that run with the old name, or set REPLICATION_SLOT back")
}

// dropOldSlot removes the slot of another name that was read before, which would keep WAL for ever.
func (c *Capture) dropOldSlot(ctx context.Context, conn *pgx.Conn, at Position) error {
	old := at.oldSlot(c.config.Slot)
	if old == "" {
		return nil
	}
	s, err := readSlot(ctx, conn, old)
	if err != nil || s == nil || s.active || s.ours(old) != nil {
		return err
	}
	if c.config.Setup != "auto" {
		c.log.Error("nobody reads the former replication slot, which keeps WAL: drop it",
			zap.String("slot", old), zap.String("fix", "SELECT pg_catalog.pg_drop_replication_slot("+quoteLiteral(old)+")"))
		return nil
	}
	c.log.Warn("dropping the replication slot that was read under a former name", zap.String("slot", old))
	return dropSlot(ctx, conn, old)
}

// oldSlot is the name of the slot that was read before, if it is another one.
func (p Position) oldSlot(now string) string {
	if p.Pins == nil || p.Pins.Slot == now {
		return ""
	}
	return p.Pins.Slot
}

// checkFreeSlot refuses, before anything is made, a server that has no room for one more slot.
func checkFreeSlot(ctx context.Context, conn *pgx.Conn) error {
	var all int64
	var full bool
	if err := ask(ctx, conn, "counting the replication slots", slotsLeftSQL, nil, &all, &full); err != nil {
		return err
	}
	if full {
		return slotsExhausted(all)
	}
	return nil
}

// slotsExhausted names how many slots there are; 0: that is not known.
func slotsExhausted(all int64) *fault.Fault {
	if all == 0 {
		return fault.New(fault.SlotsExhausted, "all replication slots are in use (max_replication_slots)").
			WithFix(raised("max_replication_slots", 0))
	}
	return fault.New(fault.SlotsExhausted, "all %d replication slots are in use (max_replication_slots)", all).
		WithFix(raised("max_replication_slots", all))
}

// raised returns the statement that raises a setting above its value. A number that was not compared with the value
// could lower it, and Postgres does not start with fewer slots than there are.
func raised(setting string, now int64) string {
	if now == 0 {
		return "SHOW " + setting + "; -- then ALTER SYSTEM SET a higher value, and restart Postgres"
	}
	return fmt.Sprintf("ALTER SYSTEM SET %s = %d; -- then restart Postgres", setting, now+10)
}

// createSlot makes the slot on a replication connection and returns where its stream starts and the name of the
// snapshot that shows exactly what was committed before. The snapshot lives until the connection's next command. On
// Postgres 17 and later the slot can be one that standbys keep (failover).
func createSlot(ctx context.Context, conn *pgconn.PgConn, c Config, serverVersion int) (pglogrepl.LSN, string, error) {
	// The exported snapshot is a transaction of this session, and lives for as long as the baseline takes: no time-out
	// ends it.
	options := "EXPORT_SNAPSHOT"
	if serverVersion >= 170000 && c.Failover {
		options = "(SNAPSHOT 'export', FAILOVER)"
	}
	made, err := pglogrepl.ParseCreateReplicationSlot(conn.Exec(ctx,
		fmt.Sprintf("CREATE_REPLICATION_SLOT %s LOGICAL pgoutput %s", c.Slot, options)))
	switch postgres.Code(err) {
	case "53400":
		return 0, "", slotsExhausted(0)
	case "42501":
		return 0, "", fault.New(fault.Privilege, "the role may not create replication slots").
			WithFix("ALTER ROLE " + roleName(conn) + " REPLICATION")
	}
	if err != nil {
		return 0, "", fmt.Errorf("creating replication slot %q: %w", c.Slot, err)
	}
	start, err := pglogrepl.ParseLSN(made.ConsistentPoint)
	return start, made.SnapshotName, err
}

// EndReader ends the session that reads the slot, if there is one, so that its relay reads the bookkeeping again: an
// idle one has no other reason to.
func EndReader(ctx context.Context, conn *pgx.Conn, c Config) error {
	_, err := conn.Exec(ctx, slotEndReaderSQL, c.Slot)
	if err != nil {
		return fmt.Errorf("ending the session that reads replication slot %q: %w", c.Slot, err)
	}
	return nil
}

// dropSlot removes a slot that cannot be read on, or that a crash in the baseline left, with the walsender that may
// still be creating it.
func dropSlot(ctx context.Context, conn *pgx.Conn, name string) error {
	s, err := readSlot(ctx, conn, name)
	if err != nil || s == nil {
		return err
	}
	if s.active {
		if _, err := conn.Exec(ctx, "SELECT pg_catalog.pg_terminate_backend($1)", s.pid); err != nil {
			return fmt.Errorf("ending the session that holds replication slot %q: %w", name, err)
		}
	}
	if _, err := conn.Exec(ctx, "SELECT pg_catalog.pg_drop_replication_slot($1)", name); err != nil {
		return fmt.Errorf("dropping replication slot %q, which cannot be read on: %w", name, err)
	}
	return nil
}

func roleName(conn *pgconn.PgConn) string {
	if role := conn.ParameterStatus("session_authorization"); role != "" {
		return pgx.Identifier{role}.Sanitize()
	}
	return "the relay's role"
}

func quoteLiteral(text string) string { return "'" + text + "'" }
