package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	// replication is what capture depends on; nil: it could not be inspected.
	replication *replication.Inspection
	// at is the bookkeeping's checkpoint.
	at replication.Position
}

// inspect checks everything that run depends on, for the command of this name. It changes nothing. If the database
// cannot be reached, that is a finding too.
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
	if grant := postgres.PinGrant(err); grant != "" {
		seen.findings = append(seen.findings,
			fault.Failed(fault.New(fault.Privilege, "%v", postgres.Safe(err)).WithFix(grant)))
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
		WithFix("start the server, or correct what the message names (" + variable + ")"))
}

func (s *inspection) close(ctx context.Context) {
	if s.conn != nil {
		_ = s.conn.Close(context.WithoutCancel(ctx))
	}
}

// look inspects the books first, because capture is judged by their checkpoint, and lists the findings of capture
// first, as run meets them. An inspection that fails because of a missing right is a finding and does not end the list.
func (s *inspection) look(ctx context.Context, cfg *config.Config) error {
	books := outbox.Inspector{Config: cfg.Outbox, Settings: settings(cfg), Deployment: cfg.Deployment}
	cluster, ofBooks, err := s.lookAtBooks(ctx, cfg, books)
	if err != nil {
		return err
	}
	capture := replication.Inspector{Config: cfg.Replication, URL: cfg.Database.ReplicationURL, Deployment: cfg.Deployment,
		MaxConns: cfg.Database.MaxConns, At: s.at}
	s.replication, err = capture.Inspect(ctx, s.conn)
	err = s.note(ctx, "checking what capture depends on", s.replication.Findings, err)
	s.findings = append(s.findings, ofBooks...)
	if err != nil || s.inRecovery() {
		return err
	}
	if err := s.lookAtValues(ctx, cfg); err != nil {
		return err
	}
	ofQuery, err := books.Query(ctx, s.conn, s.replication.Source)
	if err := s.note(ctx, "looking at the payload query", ofQuery, err); err != nil {
		return err
	}
	failures, err := books.Failures(ctx, s.conn)
	if err := s.note(ctx, "looking for acceptances that wait", failures, err); err != nil {
		return err
	}
	if cfg.Database.Pooled() && cluster.SystemID != "" {
		s.findings = append(s.findings, sameDatabase(ctx, cfg, cluster))
	}
	return nil
}

// lookAtValues adds a finding about the accepted values: whether rows have them.
func (s *inspection) lookAtValues(ctx context.Context, cfg *config.Config) error {
	source := s.replication.Source
	if source == nil {
		if lacking := s.replication.Denied; lacking != nil {
			s.findings = append(s.findings, fault.Unasked(fault.AcceptedUnseen, fault.Warn, lacking))
		}
		return nil
	}
	found, err := replication.InspectValues(ctx, s.conn, cfg.Replication, source)
	if err == nil {
		s.findings = append(s.findings, found)
	}
	return s.note(ctx, "counting the values of the status", nil, err)
}

// booksJudge lists the requirements that reading the bookkeeping decides, apart from the role's rights.
var booksJudge = []fault.Code{fault.SchemaNewer, fault.ClusterChanged, fault.SourceChanged, fault.LSNBehind,
	fault.SourceDrift}

// lookAtBooks returns which database this is, where it says so, and what there is to say of the books in it.
func (s *inspection) lookAtBooks(
	ctx context.Context, cfg *config.Config, books outbox.Inspector,
) (replication.Cluster, []fault.Finding, error) {
	cluster, err := replication.Identify(ctx, s.conn)
	if postgres.Code(err) == "55000" { // a standby does not say; capture's look names it
		return replication.Cluster{}, nil, nil
	}
	if err != nil {
		judges := booksJudge
		if cfg.Database.Pooled() {
			judges = append(judges[:len(judges):len(judges)], fault.SameDatabase)
		}
		found, err := s.denied(ctx, "asking which cluster the database belongs to", err, judges...)
		return replication.Cluster{}, found, err
	}
	found, at, err := books.Books(ctx, s.conn, cluster)
	s.at = at
	if err != nil {
		open := slices.DeleteFunc(slices.Clone(booksJudge), func(code fault.Code) bool {
			return slices.ContainsFunc(found, func(f fault.Finding) bool { return f.Code == code })
		})
		lacking, err := s.denied(ctx, "looking at the bookkeeping", err, open...)
		return cluster, append(found, lacking...), err
	}
	return cluster, found, nil
}

// inRecovery reports whether the server is a standby, of which nothing more can be said.
func (s *inspection) inRecovery() bool {
	return slices.ContainsFunc(s.replication.Findings, func(f fault.Finding) bool { return f.Code == fault.InRecovery })
}

// note adds what one look found, and a right that it lacked.
func (s *inspection) note(ctx context.Context, doing string, found []fault.Finding, err error) error {
	s.findings = append(s.findings, found...)
	if err == nil {
		return nil
	}
	lacking, err := s.denied(ctx, doing, err)
	s.findings = append(s.findings, lacking...)
	return err
}

// denied turns an error into findings if it is a fault or a missing right. For a missing right, each of the
// requirements that could not be judged has a line of its own.
func (s *inspection) denied(
	ctx context.Context, doing string, err error, judges ...fault.Code,
) ([]fault.Finding, error) {
	var f *fault.Fault
	switch {
	case errors.As(err, &f) && !errors.As(err, &fault.Denied{}):
		return []fault.Finding{fault.Failed(f)}, nil
	case f != nil:
	case postgres.Code(err) == "42501":
		f = fault.New(fault.Privilege, "%s is not allowed to the role", doing).WithFix(postgres.Grants(ctx, s.conn, "", err))
	default:
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	findings := []fault.Finding{fault.Failed(f)}
	for _, code := range judges {
		findings = append(findings, fault.Unasked(code, fault.Fail, f))
	}
	return findings, nil
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
