package replication

import (
	"context"
	_ "embed"
	"errors"
	"fmt"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/postgres"
)

//go:embed server.sql
var serverSQL string

// oldestServer is the first version whose publications cover partitioned tables the way the relay needs, and that is
// tested.
const oldestServer = 140000

// checkServer refuses a server that cannot give a logical stream.
func checkServer(ctx context.Context, conn *pgx.Conn) error {
	var recovering bool
	var level string
	var version int
	if err := ask(ctx, conn, "reading the server's settings", serverSQL, nil, &recovering, &level, &version); err != nil {
		return err
	}
	if recovering {
		return fault.New(fault.InRecovery, "the server is a standby: it cannot hold the outbox").
			WithFix("point DATABASE_URL at the primary")
	}
	if level != "logical" {
		return fault.New(fault.WALLevel, "wal_level is %s, and logical replication needs logical", level).
			WithFix("ALTER SYSTEM SET wal_level = 'logical'; -- then restart Postgres")
	}
	if version < oldestServer {
		return fault.New(fault.WALLevel, "the server is Postgres %d: 14 is the oldest that is supported", version/10000)
	}
	return nil
}

// connectWalsender opens the replication connection and asks which cluster and database it is.
func (c *Capture) connectWalsender(ctx context.Context) (*pgconn.PgConn, Cluster, error) {
	conn, err := postgres.Replication(ctx, c.url, c.name("walsender"), c.config.Takeover)
	switch postgres.Code(err) {
	case "":
	case "42501", "28000":
		return nil, Cluster{}, fault.New(fault.Privilege,
			"the role may not open a replication connection (DATABASE_REPLICATION_URL): it needs the REPLICATION attribute, "+
				"and pg_hba.conf must let it in").
			WithFix("ALTER ROLE <the relay's role> REPLICATION")
	case "53300":
		return nil, Cluster{}, sendersExhausted(fault.SlotsExhausted)
	}
	if err != nil {
		return nil, Cluster{}, fmt.Errorf("opening the replication connection: %w", err)
	}
	cluster, err := identify(ctx, conn)
	if postgres.Code(err) == "42601" {
		err = fault.New(fault.DatabaseUnreachable,
			"the connection is an ordinary session, not one for replication: a pooler on the way drops start-up parameters").
			WithFix("set DATABASE_REPLICATION_URL to the server's own address")
	}
	if err != nil {
		closeWalsender(conn)
		return nil, Cluster{}, err
	}
	return conn, cluster, nil
}

func identify(ctx context.Context, conn *pgconn.PgConn) (Cluster, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, checkTimeout, errors.New("the server did not answer in time"))
	defer cancel()
	system, err := pglogrepl.IdentifySystem(ctx, conn)
	if err != nil {
		return Cluster{}, fmt.Errorf("asking the server which cluster it is: %w", err)
	}
	return Cluster{SystemID: system.SystemID, Database: system.DBName, WAL: system.XLogPos}, nil
}

// sendersExhausted: several limits end a replication connection with the same code, 53300.
func sendersExhausted(code fault.Code) *fault.Fault {
	return fault.New(code, "no replication connection is left: max_wal_senders, max_connections, or the CONNECTION "+
		"LIMIT of the role or the database").
		WithFix("SHOW max_wal_senders; SHOW max_connections; SELECT rolname, rolconnlimit FROM pg_catalog.pg_roles WHERE " +
			"rolconnlimit >= 0; -- then raise the one that is reached")
}
