package main

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"attendee-relay/config"
	"attendee-relay/internal/fault"
	"attendee-relay/internal/postgres"
	"attendee-relay/outbox"
	"attendee-relay/replication"
)

// inspection is what the commands that look before they act have seen.
type inspection struct {
	findings []fault.Finding
	// conn is the direct connection that was looked through; nil: there is none. The caller closes it.
	conn *pgx.Conn
	// replication is what capture rests on; nil: it could not be looked at.
	replication *replication.Inspection
	// at is where the bookkeeping stands.
	at replication.Position
}

// inspect looks at everything that run rests on, as the command of this name. It changes nothing. What it cannot look at,
// because the database is away, is a finding too.
func inspect(ctx context.Context, cfg *config.Config, command string) (*inspection, error) {
	seen := &inspection{}
	conn, err := direct(ctx, cfg, command)
	if err == nil {
		seen.conn = conn
		err = seen.look(ctx, cfg)
	}
	if f := replication.EncodingUnsupported(err); f != nil {
		seen.findings = append(seen.findings, fault.Failed(f))
		return seen, nil
	}
	if err != nil && postgres.Unreachable(err) {
		seen.findings = append(seen.findings, unreachable("DATABASE_REPLICATION_URL or DATABASE_URL", err))
		return seen, nil
	}
	return seen, err
}

// direct opens the connection of a command, which its name tells from those of a relay.
func direct(ctx context.Context, cfg *config.Config, command string) (*pgx.Conn, error) {
	return postgres.DirectForQuery(ctx, cfg.Database.ReplicationURL, "attendee-relay/"+cfg.Deployment+" "+command)
}

func unreachable(variable string, err error) fault.Finding {
	return fault.Failed(fault.New(fault.DatabaseUnreachable, "the database cannot be reached: %v", postgres.Safe(err)).
		WithFix("start it, or correct " + variable))
}

func (s *inspection) close(ctx context.Context) {
	if s.conn != nil {
		_ = s.conn.Close(context.WithoutCancel(ctx))
	}
}

// look inspects the books before capture, which is judged by where they stand, and reports capture first, as run meets it.
func (s *inspection) look(ctx context.Context, cfg *config.Config) error {
	cluster, err := replication.Identify(ctx, s.conn)
	var denied *fault.Fault
	if err != nil && !errors.As(err, &denied) && postgres.Code(err) != "55000" { // a standby does not say; the next step names it
		return err
	}
	books := outbox.Inspector{Config: cfg.Outbox, Settings: settings(cfg), Deployment: cfg.Deployment}
	var ofBooks []fault.Finding
	switch {
	case denied != nil:
		ofBooks = []fault.Finding{fault.Failed(denied)}
	case err == nil:
		if ofBooks, s.at, err = books.Books(ctx, s.conn, cluster); err != nil {
			return err
		}
	}
	capture := replication.Inspector{Config: cfg.Replication, URL: cfg.Database.ReplicationURL, Deployment: cfg.Deployment,
		MaxConns: cfg.Database.MaxConns, At: s.at}
	s.replication, err = capture.Inspect(ctx, s.conn)
	s.findings = append(s.replication.Findings, ofBooks...)
	if err != nil || cluster.SystemID == "" && denied == nil {
		return err
	}
	ofQuery, err := books.Query(ctx, s.conn, s.replication.Source)
	s.findings = append(s.findings, ofQuery...)
	if err != nil {
		return err
	}
	if cfg.Database.Pooled() && denied == nil {
		s.findings = append(s.findings, sameDatabase(ctx, cfg, cluster))
	}
	return nil
}

// poolPatience bounds the look at the way that deliveries take.
const poolPatience = 30 * time.Second

// sameDatabase compares where the two connection strings lead to. A pooler in front of one is fine.
func sameDatabase(ctx context.Context, cfg *config.Config, direct replication.Cluster) fault.Finding {
	pool, err := postgres.Pool(cfg.Database.URL, "attendee-relay/"+cfg.Deployment+" check", 1, true, nil)
	if err != nil {
		return unreachable("DATABASE_URL", err)
	}
	defer pool.Close()
	ctx, cancel := context.WithTimeoutCause(ctx, poolPatience, errors.New("the database did not answer in time"))
	defer cancel()
	systemID, database, err := identify(ctx, pool)
	if err != nil {
		return unreachable("DATABASE_URL", err)
	}
	if systemID != direct.SystemID || database != direct.Database {
		return fault.Failed(fault.New(fault.SameDatabase,
			"DATABASE_URL leads to database %q of cluster %s, and DATABASE_REPLICATION_URL to database %q of cluster %s",
			database, systemID, direct.Database, direct.SystemID).WithFix("make both lead to the same database"))
	}
	return fault.Passed(fault.SameDatabase, "DATABASE_URL and DATABASE_REPLICATION_URL lead to the same database")
}

// identify asks which cluster and database a pool leads to.
func identify(ctx context.Context, pool *postgres.Connections) (systemID, database string, err error) {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return "", "", err
	}
	defer conn.Release()
	batch := &pgx.Batch{}
	batch.Queue("SELECT system_identifier::text, pg_catalog.current_database()::text FROM pg_catalog.pg_control_system()").
		QueryRow(func(row pgx.Row) error { return row.Scan(&systemID, &database) })
	return systemID, database, postgres.Transact(ctx, conn.Conn(), batch)
}
