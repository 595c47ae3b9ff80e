package outbox

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

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
	//go:embed sql/schema_version_lock.sql
	schemaVersionLockSQL string
	//go:embed sql/schema_version_set.sql
	schemaVersionSetSQL string
)

// versionTable is where the schema's version is kept.
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

// Migrate brings the relay's own schema to this version. It leaves the session with the settings for writing the
// bookkeeping.
func Migrate(ctx context.Context, conn *pgx.Conn) error {
	exists, err := schemaExists(ctx, conn)
	if err != nil {
		return err
	}
	if !exists {
		if _, err := conn.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS attendee_relay"); err != nil {
			return lacking(err, "creating the schema attendee_relay", mayCreateFix)
		}
	}
	for _, sql := range []string{schemaVersionSQL, schemaVersionBeginSQL} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return lacking(err, "making the table of the schema's version", ownFix)
		}
	}
	var version int
	if err := conn.QueryRow(ctx, "SELECT version FROM "+versionTable).Scan(&version); err != nil {
		return lacking(err, "reading the version of the schema attendee_relay", ownFix)
	}
	files, err := fs.Glob(migrations, "migrations/*.sql") // in their order, one for each version
	if err != nil {
		return fmt.Errorf("reading the migrations: %w", err)
	}
	for version < len(files) {
		version, err = migrateOnce(ctx, conn, files)
		// A migration locks its tables one after the other, and whoever reads them at that moment, in another order. Of
		// the two Postgres ends one; it has done nothing, and may try again at once.
		if err != nil && postgres.Code(err) != "40P01" {
			return lacking(err, "migrating the schema attendee_relay", ownFix)
		}
	}
	if version > len(files) {
		return fault.New(fault.SchemaNewer, "the schema attendee_relay has version %d, and this relay knows up to %d: a "+
			"newer relay has been here", version, len(files)).
			WithFix("run the newer version of attendee-relay")
	}
	return setWriting(ctx, conn)
}

// migrateOnce runs the first missing migration, and returns the version after it. The row of the version is locked: of
// several sessions one migrates. A migration may change the session's settings only for the transaction: adopt's
// session has the role's search_path underneath ours.
func migrateOnce(ctx context.Context, conn *pgx.Conn, files []string) (version int, err error) {
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, schemaVersionLockSQL).Scan(&version)
		if err != nil || version >= len(files) { // another session was faster
			return err
		}
		text, err := migrations.ReadFile(files[version])
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, string(text)); err != nil {
			return fmt.Errorf("%s: %w", files[version], err)
		}
		version++
		_, err = tx.Exec(ctx, schemaVersionSetSQL, version)
		return err
	})
	return version, err
}

const (
	mayCreateFix = "GRANT CREATE ON DATABASE <the database> TO <the relay's role>, or CREATE SCHEMA attendee_relay " +
		"AUTHORIZATION <the relay's role>"
	ownFix = "make the schema attendee_relay and all that is in it the relay's role's own: attendee-relay check prints " +
		"the statements for what is another's"
)

// lacking turns a missing right into the fault that it is.
func lacking(err error, doing, fix string) error {
	said, ok := errors.AsType[*pgconn.PgError](err)
	if f := (*fault.Fault)(nil); !ok || said.Code != "42501" || errors.As(err, &f) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return fault.New(fault.Privilege, "the role lacks a right for %s: %s", doing, fault.Sentence(said)).WithFix(fix)
}
