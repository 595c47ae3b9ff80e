package pgtest

import (
	"context"
	_ "embed"
	"testing"

	"attendee-relay/demo"
	"attendee-relay/internal/pgserver"
)

// The databases that fresh ones are copied from, which is faster than running the schema each time.
const (
	template           = "reference"
	unpreparedTemplate = "unprepared"
	emptyTemplate      = "nothing"
)

// Role is the relay's role, as the README has it made: it may log in and stream, and owns its own schema only.
const (
	Role         = "attendee_relay"
	rolePassword = "of-the-tests-alone"
)

var (
	//go:embed role.sql
	roleSQL string
	//go:embed grants.sql
	grantsSQL string
)

// closeSQL gives public the rights that it has since PostgreSQL 15.
const closeSQL = "revoke create on schema public from public"

// makeTemplates creates the templates and the relay's role. The catalogs are analysed, as autovacuum has them in a
// database that is not new; the statistics are copied with the database.
func makeTemplates(ctx context.Context, s *pgserver.Server) error {
	steps := []struct{ database, sql string }{
		{"postgres", roleSQL},
		{"postgres", "create database " + unpreparedTemplate + " template template0"},
		{unpreparedTemplate, closeSQL},
		{unpreparedTemplate, demo.Schema},
		{unpreparedTemplate, "analyze"},
		{"postgres", "create database " + template + " template " + unpreparedTemplate},
		{template, grantsSQL},
		{template, Publication("attendee_relay", "public.attendees")},
		{template, "analyze"},
		{"postgres", "create database " + emptyTemplate + " template template0"},
		{emptyTemplate, closeSQL},
		{emptyTemplate, grantsSQL},
		{emptyTemplate, "analyze"},
	}
	for _, step := range steps {
		if err := run(ctx, s.URL(step.database), step.sql); err != nil {
			return err
		}
	}
	return nil
}

// Publication returns the statement by which the owner of a table makes the relay's publication; both names are quoted
// where they need it.
func Publication(name, table string) string {
	return "create publication " + name + " for table only " + table + " with (publish_via_partition_root = true)"
}

// OwnTables gives the tables of public to the relay's role, with the right to make a publication of them, and drops the
// one that was made for it: a relay that runs as the application's own role.
func (db *DB) OwnTables(t testing.TB) {
	t.Helper()
	db.Exec(t, `do $$
		declare owned regclass;
		begin
			for owned in select oid from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
				and relowner <> 'attendee_relay'::regrole loop
				execute format('alter table %s owner to attendee_relay', owned);
			end loop;
			drop publication if exists attendee_relay;
			execute format('grant create on database %I to attendee_relay', current_database());
		end $$`)
}
