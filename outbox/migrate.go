package outbox

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/tern/v2/migrate"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/postgres"
)

//go:embed migrations/*.sql
var migrations embed.FS

var (
	//go:embed sql/schema_exists.sql
	schemaExistsSQL string
	//go:embed sql/schema_version.sql
	schemaVersionSQL string
	//go:embed sql/schema_version_begin.sql
	schemaVersionBeginSQL string
)

// versionTable is where tern keeps the schema's version.
const versionTable = "attendee_relay.schema_version"

// schemaExists asks first, because CREATE SCHEMA IF NOT EXISTS needs the right to create one even where it exists.
func schemaExists(ctx context.Context, conn *pgx.Conn) (bool, error) {
	var exists bool
	err := conn.QueryRow(ctx, schemaExistsSQL).Scan(&exists)
	if err != nil {
		return false, fmt.Errorf("looking for the schema attendee_relay: %w", err)
	}
	return exists, nil
}

// Migrate brings the relay's own schema to this version, over a direct connection: tern's lock is the session's. It
// leaves the session with the settings for writing the bookkeeping.
func Migrate(ctx context.Context, conn *pgx.Conn) error {
	exists, err := schemaExists(ctx, conn)
	if err != nil {
		return err
	}
	if !exists {
		if _, err := conn.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS attendee_relay"); err != nil {
			return lacking(err, "creating the schema attendee_relay")
		}
	}
	for _, sql := range []string{schemaVersionSQL, schemaVersionBeginSQL} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return lacking(err, "making the table of the schema's version")
		}
	}
	migrator, err := migrate.NewMigrator(ctx, conn, versionTable)
	if err != nil {
		return lacking(err, "reading the version of the schema attendee_relay")
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("reading the migrations: %w", err)
	}
	if err := migrator.LoadMigrations(files); err != nil {
		return fmt.Errorf("reading the migrations: %w", err)
	}
	version, err := migrator.GetCurrentVersion(ctx)
	if err != nil {
		return lacking(err, "reading the version of the schema attendee_relay")
	}
	if known := int32(len(migrator.Migrations)); version > known { //nolint:gosec // a handful
		return fault.New(fault.SchemaNewer, "the schema attendee_relay has version %d, and this relay knows up to %d: a "+
			"newer relay has been here", version, known).
			WithFix("run the newer version of attendee-relay")
	}
	// tern resets the session after each migration, and with it the search_path.
	var unpinned error
	migrator.OnStart = func(int32, string, string, string) { unpinned = errors.Join(unpinned, postgres.Repin(ctx, conn)) }
	if err := errors.Join(migrator.Migrate(ctx), unpinned); err != nil {
		return lacking(err, "migrating the schema attendee_relay")
	}
	return setWriting(ctx, conn) // tern ends with RESET ALL
}

// lacking names a missing right as the fault it is.
func lacking(err error, doing string) error {
	if code := postgres.Code(err); code == "42501" {
		var f *fault.Fault
		if !errors.As(err, &f) {
			return fault.New(fault.Privilege, "the role lacks a right for %s", doing).
				WithFix("GRANT CREATE ON DATABASE <the database> TO <the relay's role>, or CREATE SCHEMA attendee_relay " +
					"AUTHORIZATION <the relay's role>")
		}
	}
	return fmt.Errorf("%s: %w", doing, err)
}
