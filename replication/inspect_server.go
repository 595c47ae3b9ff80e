package replication

import (
	"context"
	_ "embed"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/postgres"
)

var (
	//go:embed server_slots.sql
	serverSlotsSQL string
	//go:embed server_senders.sql
	serverSendersSQL string
	//go:embed server_connections.sql
	serverConnectionsSQL string
	//go:embed server_wal.sql
	serverWALSQL string
	//go:embed server_standbys.sql
	serverStandbysSQL string
	//go:embed server_prepared.sql
	serverPreparedSQL string
)

const reload = "; SELECT pg_catalog.pg_reload_conf()"

// question is one thing that is asked of the server for check alone: run works without the answer.
type question struct {
	code   fault.Code
	sql    string
	args   []any
	judge  func(pgx.Row) ([]fault.Finding, error)
	unsaid string
	// also is a second requirement that the answer decides.
	also fault.Code
}

// inspectServer judges the server's settings and its free capacity, one question at a time: a question that the role
// may not ask is a finding, and the others are still asked.
func (i Inspector) inspectServer(ctx context.Context, conn *pgx.Conn, found *Inspection) error {
	role := roleName(conn.PgConn())
	for _, q := range []question{
		{fault.SlotsExhausted, serverSlotsSQL, []any{i.Config.Slot}, slotsLeft, "how many replication slots are in use",
			""},
		{fault.SendersExhausted, serverSendersSQL, nil, found.sendersLeft, "how many walsenders are in use", ""},
		{fault.Connections, serverConnectionsSQL, []any{"attendee-relay/" + i.Deployment + " "},
			func(row pgx.Row) ([]fault.Finding, error) { return i.connectionsLeft(row, role) },
			"how many connections are in use", ""},
		{fault.WALKeepUnlimited, serverWALSQL, nil, walKept, "how much WAL an unread slot keeps, and how long",
			fault.IdleSlotTimeout},
		{fault.SynchronousStandby, serverStandbysSQL, nil,
			func(row pgx.Row) ([]fault.Finding, error) { return standbys(row, role) }, "whether commits wait for a standby",
			""},
		{fault.PreparedTransactions, serverPreparedSQL, nil, found.preparedTransactions,
			"whether prepared transactions are open", ""},
	} {
		findings, err := q.judge(conn.QueryRow(ctx, q.sql, q.args...))
		switch {
		case postgres.Code(err) == "42501":
			found.add(q.unasked(postgres.Grants(ctx, conn, q.sql, err))...)
		case err != nil:
			return fmt.Errorf("asking %s: %w", q.unsaid, postgres.Safe(err))
		default:
			found.add(findings...)
		}
	}
	return nil
}

// unasked returns the findings of a question that needs these grants.
func (q question) unasked(grants string) []fault.Finding {
	lines := one(fault.Warning(q.code, grants, "the role may not ask %s", q.unsaid))
	if q.also != "" {
		lines = append(lines, fault.Warning(q.also, grants, "the role may not ask %s", q.unsaid))
	}
	return lines
}

func one(f fault.Finding) []fault.Finding { return []fault.Finding{f} }

func slotsLeft(row pgx.Row) ([]fault.Finding, error) {
	var used, all int64
	var exists bool
	if err := row.Scan(&used, &all, &exists); err != nil {
		return nil, err
	}
	if used >= all && !exists {
		return one(fault.Failed(slotsExhausted(all))), nil
	}
	return one(fault.Passed(fault.SlotsExhausted, "%d of %d replication slots are in use", used, all)), nil
}

// sendersLeft: a relay of this deployment that leads has its walsender already.
func (i *Inspection) sendersLeft(row pgx.Row) ([]fault.Finding, error) {
	var used, all int64
	if err := row.Scan(&used, &all); err != nil {
		return nil, err
	}
	if used >= all && !i.Held {
		return one(fault.Failed(fault.New(fault.SendersExhausted, "all %d walsenders are in use (max_wal_senders)", all).
			WithFix(raised("max_wal_senders", all)))), nil
	}
	return one(fault.Passed(fault.SendersExhausted, "%d of %d walsenders are in use", used, all)), nil
}

// connectionsLeft compares what a relay may open with what is left to roles that are not superusers.
func (i Inspector) connectionsLeft(row pgx.Row, role string) ([]fault.Finding, error) {
	var used, ours, all, limit int64
	if err := row.Scan(&used, &ours, &all, &limit); err != nil {
		return nil, err
	}
	wants, others := int64(i.MaxConns), used-ours
	switch {
	case limit >= 0 && limit <= wants: // Postgres counts the role's walsender as well
		return one(fault.Warning(fault.Connections, fmt.Sprintf("ALTER ROLE %s CONNECTION LIMIT %d", role, wants+1),
			"the role may open %d connections, and the relay opens up to %d (DATABASE_MAX_CONNS) and a walsender", limit,
			wants)), nil
	case others+wants > all:
		return one(fault.Warning(fault.Connections,
			fmt.Sprintf("ALTER SYSTEM SET max_connections = %d; -- then restart Postgres, or lower DATABASE_MAX_CONNS",
				(others+wants)*2+10),
			"others use %d of the server's %d connections, and the relay opens up to %d (DATABASE_MAX_CONNS)", others, all,
			wants)), nil
	}
	return one(fault.Passed(fault.Connections, "others use %d of the server's %d connections, the relay at most %d",
		others, all, wants)), nil
}

func walKept(row pgx.Row) ([]fault.Finding, error) {
	var size, idle string
	if err := row.Scan(&size, &idle); err != nil {
		return nil, err
	}
	kept := fault.Passed(fault.WALKeepUnlimited, "an unread slot keeps at most %s of WAL (max_slot_wal_keep_size)", size)
	if size == "-1" {
		kept = fault.Warning(fault.WALKeepUnlimited, "ALTER SYSTEM SET max_slot_wal_keep_size = '4GB'"+reload,
			"max_slot_wal_keep_size is not set: while no relay reads the slot, Postgres keeps WAL until the disk is full")
	}
	if idle != "0" {
		return []fault.Finding{kept,
			fault.Warning(fault.IdleSlotTimeout, "ALTER SYSTEM SET idle_replication_slot_timeout = 0"+reload,
				"a slot that no relay has read for %s is invalidated (idle_replication_slot_timeout)", idle)}, nil
	}
	return []fault.Finding{kept, fault.Passed(fault.IdleSlotTimeout, "no slot is invalidated for being idle")}, nil
}

// standbys warns of a standby that commits wait for and that is not there.
func standbys(row pgx.Row, role string) ([]fault.Finding, error) {
	var names, slotsDown string
	var connected, mayReadStats bool
	if err := row.Scan(&names, &connected, &mayReadStats, &slotsDown); err != nil {
		return nil, err
	}
	switch {
	case slotsDown != "":
		return one(fault.Warning(fault.SynchronousStandby, "ALTER SYSTEM RESET synchronized_standby_slots"+reload,
			"synchronized_standby_slots names slots that no standby reads (%s): the stream waits until one does",
			slotsDown)), nil
	case names != "" && !connected && !mayReadStats:
		return one(fault.Warning(fault.SynchronousStandby, "GRANT pg_read_all_stats TO "+role,
			"synchronous_standby_names is set, and the role may not see whether a standby is connected: "+
				"without one, commits wait, and acceptances with them")), nil
	case names != "" && !connected:
		return one(fault.Warning(fault.SynchronousStandby,
			"ALTER SYSTEM SET synchronous_standby_names = ''"+reload+"; -- or start the standby",
			"synchronous_standby_names is set and no synchronous standby is connected: commits wait, and acceptances with "+
				"them")), nil
	case names != "":
		return one(fault.Passed(fault.SynchronousStandby, "a synchronous standby is connected")), nil
	}
	return one(fault.Passed(fault.SynchronousStandby, "commits wait for no standby")), nil
}

// preparedTransactions: making the slot waits for them.
func (i *Inspection) preparedTransactions(row pgx.Row) ([]fault.Finding, error) {
	var n int64
	var rollBack string
	err := row.Scan(&n, &rollBack)
	switch {
	case err != nil:
		return nil, err
	case n > 0 && !i.Slot:
		return one(fault.Warning(fault.PreparedTransactions, rollBack+"; -- or COMMIT PREPARED, each in its database",
			"%d prepared transactions are open: making the slot waits until each has ended", n)), nil
	case n > 0:
		return one(fault.Passed(fault.PreparedTransactions, "%d prepared transactions are open; the slot exists already",
			n)), nil
	}
	return one(fault.Passed(fault.PreparedTransactions, "no prepared transaction is open")), nil
}

// ask runs a catalog statement that capture needs and scans its one row, whose texts may be shown. A missing right is
// the fault privilege.
func ask(ctx context.Context, conn *pgx.Conn, doing, sql string, args []any, into ...any) error {
	err := postgres.Names(ctx, conn, sql, args, func(rows pgx.Rows) error {
		_, err := pgx.CollectOneRow(rows, func(row pgx.CollectableRow) (struct{}, error) {
			return struct{}{}, row.Scan(into...)
		})
		return err
	})
	for _, value := range into {
		if name, is := value.(*string); is {
			*name = postgres.Legible(*name)
		}
	}
	return asked(ctx, conn, doing, sql, err)
}

// asked explains the error that a catalog statement ended with; no row is not explained.
func asked(ctx context.Context, conn *pgx.Conn, doing, sql string, err error) error {
	switch {
	case err == nil, errors.Is(err, pgx.ErrNoRows):
		return err
	case postgres.Code(err) == "42501":
		return fault.Denied{Fault: fault.New(fault.Privilege, "%s is not allowed to the role", doing).
			WithFix(postgres.Grants(ctx, conn, sql, err))}
	}
	return fmt.Errorf("%s: %w", doing, postgres.Safe(err))
}
