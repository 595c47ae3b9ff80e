package outbox_test

import (
	"testing"

	"attendee-relay/internal/pgtest"
)

// Another tool's FOR ALL TABLES publication includes the relay's tables: in it, rows of a table without a primary key
// can be neither updated nor deleted, from the first migration on.
func TestBesideAPublicationOfAllTables(t *testing.T) {
	t.Parallel()
	rig := peopleRig(t, peopleTable)
	rig.DB.Exec(t, "create publication of_another_tool for all tables")
	rig.Start(t)
	rig.AwaitLeading(t)
	rig.DB.Exec(t, "insert into people values (1, 'Accepted')")
	rig.Settled(t)
	if got := rig.Keys(t); len(got) != 1 {
		t.Errorf("announced %q", got)
	}
	const keyless = `select coalesce(string_agg(c.relname, ', '), '') from pg_class c
		where c.relnamespace = 'attendee_relay'::regnamespace and c.relkind in ('r', 'p')
		  and not exists (select from pg_constraint k where k.conrelid = c.oid and k.contype = 'p' and not k.condeferrable)`
	if names := pgtest.Value[string](t, rig.DB, keyless); names != "" {
		t.Errorf("without a primary key: %s", names)
	}
}
