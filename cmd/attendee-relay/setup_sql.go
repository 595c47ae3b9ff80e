package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/template"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"attendee-relay/config"
	"attendee-relay/outbox"
)

// setupSQL is what a database administrator runs for a relay whose role owns nothing. Each statement may be run again.
var setupSQL = template.Must(template.New("setup").Parse(`-- What attendee-relay needs in database {{.Database}}.
-- Run it there as a superuser, with psql (without --single-transaction); it may be run again. The owner of the tables
-- may run the grants and the publication instead. The server needs wal_level = logical, which takes a restart, and
-- should not keep WAL without limit:
--   ALTER SYSTEM SET wal_level = 'logical';
--   ALTER SYSTEM SET max_slot_wal_keep_size = '4GB';

-- The role of DATABASE_URL. Set its password afterwards, if it is new: \password {{.Role}}
DO $attendee_relay$ BEGIN CREATE ROLE {{.Role}} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $attendee_relay$;
ALTER ROLE {{.Role}} REPLICATION;

-- Its own schema.
CREATE SCHEMA IF NOT EXISTS attendee_relay AUTHORIZATION {{.Role}};

-- The tables it reads: the watched table, and those that the payload query names. With row level security on one
-- of them, it also needs ALTER ROLE {{.Role}} BYPASSRLS.
{{range .Schemas}}GRANT USAGE ON SCHEMA {{.}} TO {{$.Role}};
{{end}}GRANT SELECT ON {{.Tables}} TO {{.Role}};

-- The publication: no row filter and no column list, with which the application's own UPDATE can fail.
{{.Publication}}

-- Run this last, once the publication exists, and on its own. From then on Postgres keeps WAL until a relay has
-- read it.
{{.Slot}}
{{if .Failover}}-- On Postgres 17 and later, if standbys should keep the slot, add failover => true:
-- pg_create_logical_replication_slot(..., failover => true).
{{end}}`))

// printSetupSQL writes down what an administrator has to run, from the environment alone.
func printSetupSQL(out io.Writer, cfg *config.Config) error {
	conninfo, err := pgconn.ParseConfig(cfg.Database.URL.Reveal())
	if err != nil {
		return fmt.Errorf("reading DATABASE_URL: it is not understood") // the cause would repeat it
	}
	named, err := outbox.QueryTables(cfg.Outbox)
	if err != nil {
		return err
	}
	schema, table, _ := strings.Cut(cfg.Replication.Table, ".")
	watched := pgx.Identifier{schema, table}.Sanitize()
	schemas, tables := []string{pgx.Identifier{schema}.Sanitize()}, []string{watched}
	for _, name := range named {
		if same(name, schema, table) {
			continue
		}
		tables = append(tables, name)
		if in, _, qualified := strings.Cut(name, "."); qualified && !slices.ContainsFunc(schemas, func(s string) bool {
			return unquoted(s) == unquoted(in)
		}) {
			schemas = append(schemas, in)
		}
	}
	return setupSQL.Execute(out, map[string]any{
		"Database": pgx.Identifier{conninfo.Database}.Sanitize(), "Role": pgx.Identifier{conninfo.User}.Sanitize(),
		"Schemas": schemas, "Tables": strings.Join(tables, ", "), "Failover": cfg.Replication.Failover,
		"Publication": cfg.Replication.PublicationSQL(), "Slot": cfg.Replication.SlotSQL(),
	})
}

// same reports whether a name as a query writes it is the table.
func same(name, schema, table string) bool {
	in, of, qualified := strings.Cut(name, ".")
	return qualified && unquoted(in) == schema && unquoted(of) == table
}

// unquoted is the name that Postgres reads: without quotes it is in lower case.
func unquoted(name string) string {
	if strings.HasPrefix(name, `"`) {
		return strings.ReplaceAll(strings.Trim(name, `"`), `""`, `"`)
	}
	return strings.ToLower(name)
}
