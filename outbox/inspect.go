package outbox

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"math"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/postgres"
	"attendee-relay/replication"
)

//go:embed sql/inspect_schema.sql
var inspectSchemaSQL string

// Inspector looks at the bookkeeping and at the payload query and says what it found, the good and the bad. It changes
// nothing, and it never runs the query.
type Inspector struct {
	Config     Config
	Settings   Settings
	Deployment string
}

// Books judges the relay's own schema: whether it may be made or has this version, and whose it is. The Position is the
// zero value if there is no bookkeeping to continue from.
func (i Inspector) Books(ctx context.Context, conn *pgx.Conn,
	cluster replication.Cluster) ([]fault.Finding, replication.Position, error) {
	var exists, mayCreate, mayUse, versioned bool
	var foreign string
	role := roleName(conn)
	err := postgres.Names(ctx, conn, inspectSchemaSQL, []any{role}, func(rows pgx.Rows) error {
		_, err := pgx.ForEachRow(rows, []any{&exists, &mayCreate, &mayUse, &foreign, &versioned}, func() error { return nil })
		return err
	})
	foreign = postgres.Legible(foreign)
	if err != nil {
		return nil, replication.Position{}, fmt.Errorf("looking for the schema attendee_relay: %w", err)
	}
	lacks := func(what, fix string) []fault.Finding {
		return []fault.Finding{fault.Failed(fault.New(fault.Privilege, "%s", what).WithFix(fix))}
	}
	switch {
	case !exists && !mayCreate:
		return lacks("the role may not create the schema attendee_relay", "CREATE SCHEMA attendee_relay AUTHORIZATION "+role),
			replication.Position{}, nil
	case !exists:
		return []fault.Finding{fault.Passed(fault.Privilege, "the schema attendee_relay will be made by run or setup")},
			replication.Position{}, nil
	case !mayUse:
		return lacks("the role may not use the schema attendee_relay",
			"GRANT USAGE, CREATE ON SCHEMA attendee_relay TO "+role), replication.Position{}, nil
	case foreign != "":
		return lacks("the role does not own what is in the schema attendee_relay", foreign), replication.Position{}, nil
	case !versioned:
		return []fault.Finding{fault.Passed(fault.Privilege, "the schema attendee_relay is empty and the role's to fill")},
			replication.Position{}, nil
	}
	return i.version(ctx, conn, cluster)
}

// version judges the schema's version, and then the books in it.
func (i Inspector) version(ctx context.Context, conn *pgx.Conn,
	cluster replication.Cluster) ([]fault.Finding, replication.Position, error) {
	var version int
	if err := conn.QueryRow(ctx, "SELECT version FROM "+versionTable).Scan(&version); err != nil {
		return nil, replication.Position{}, fmt.Errorf("reading the version of the schema attendee_relay: %w", err)
	}
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return nil, replication.Position{}, fmt.Errorf("counting the migrations: %w", err)
	}
	books := &Recorder{settings: i.Settings, deployment: i.Deployment}
	if version > len(files) {
		return []fault.Finding{fault.Failed(fault.New(fault.SchemaNewer,
			"the schema attendee_relay has version %d, and this relay knows up to %d: a newer relay has been here",
			version, len(files)).
			WithFix("run the newer version of attendee-relay"))}, replication.Position{}, nil
	}
	findings := []fault.Finding{fault.Passed(fault.SchemaNewer, "the schema attendee_relay has version %d of %d",
		version, len(files))}
	var at replication.Position
	if version < len(files) {
		// An older schema is migrated by run, once it is known to be this deployment's.
		err = books.checkOwner(ctx, conn, cluster)
	} else {
		at, err = i.checkpoint(ctx, conn, books, cluster)
	}
	var f *fault.Fault
	switch {
	case errors.As(err, &f):
		return append(findings, fault.Failed(f)), replication.Position{}, nil
	case errors.Is(err, pgx.ErrNoRows) || postgres.Code(err) == "42P01":
		return findings, replication.Position{}, nil // made, and nothing written down yet
	case err != nil:
		return findings, at, err
	}
	findings = append(findings,
		fault.Passed(fault.ClusterChanged, "the bookkeeping is this deployment's on this database"))
	if at.Phase == "" {
		return findings, at, nil
	}
	return append(findings,
		fault.Passed(fault.SourceChanged, "the SOURCE_ settings are those that the ledger was made with"),
		fault.Passed(fault.LSNBehind, "the checkpoint %s is in the server's WAL", at.LSN)), at, nil
}

// checkpoint reads the checkpoint, and only then where the WAL ends: a relay that runs moves both on.
func (i Inspector) checkpoint(ctx context.Context, conn *pgx.Conn, books *Recorder,
	cluster replication.Cluster) (replication.Position, error) {
	cluster.WAL = math.MaxUint64
	at, err := books.readCheckpoint(ctx, conn, cluster)
	if err != nil {
		return at, err
	}
	now, err := replication.Identify(ctx, conn)
	if err != nil {
		return at, fmt.Errorf("reading the end of the WAL: %w", err)
	}
	if at.LSN <= now.WAL {
		return at, nil
	}
	return books.readCheckpoint(ctx, conn, now)
}

func roleName(conn *pgx.Conn) string {
	return pgx.Identifier{conn.PgConn().ParameterStatus("session_authorization")}.Sanitize()
}
