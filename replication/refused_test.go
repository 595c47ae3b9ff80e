package replication_test

import (
	"slices"
	"strings"
	"testing"

	"attendee-relay/internal/capturetest"
	"attendee-relay/internal/fault"
	"attendee-relay/internal/pgtest"
)

// A table that cannot be captured, or whose application would break, is refused before anything is touched; once it is
// repaired the running relay captures it.
func TestRefusedUntilRepaired(t *testing.T) {
	t.Parallel()
	const publication = "create publication PUB for table people"
	cases := []struct {
		name, ddl, repair string
		code              fault.Code
		change            func(*capturetest.Rig)
	}{
		{"no table", "select", table, fault.SourceMissing, nil},
		{"a view", "create view people as select 1 as id, 'x' as status, 'x' as note", "drop view people;" + table,
			fault.SourceMissing, nil},
		{"no status column", "create table people (id int primary key, note text)", "alter table people add status text",
			fault.SourceMissing, nil},
		{"a generated key", "create table people (number int primary key, id int generated always as (number) stored, " +
			"status text)", "drop table people;" + table + "alter publication PUB add table only people", fault.SourceMissing,
			nil},
		{"a value that the status cannot have",
			"create type s as enum ('new'); create table people (id int primary key, status s, note text)",
			"alter type s add value 'Accepted'", fault.SourceMissing, func(r *capturetest.Rig) {
				r.Marker = "insert into people (id, status) values (1000000000, 'new') " +
					"on conflict (id) do update set status = 'new'"
			}},
		{"no primary key", "create table people (id int, status text, note text)", "alter table people add primary key (id)",
			fault.NoReplicaIdentity, nil},
		{"a generated column in the primary key", "create table people (number int, id int " +
			"generated always as (number) stored primary key, status text)",
			"drop table people;" + table + "alter publication PUB add table only people", fault.NoReplicaIdentity, nil},
		{"a deferrable primary key", "create table people (id int primary key deferrable, status text, note text)",
			"alter table people drop constraint people_pkey, add primary key (id)", fault.NoReplicaIdentity, nil},
		{"replica identity nothing", table + "alter table people replica identity nothing",
			"alter table people replica identity default", fault.NoReplicaIdentity, nil},
		{"replica identity full without a primary key",
			"create table people (id int not null, status text, note text); alter table people replica identity full",
			"alter table people add primary key (id)", fault.NoReplicaIdentity, nil},
		{"unlogged", strings.Replace(table, "create", "create unlogged", 1), "alter table people set logged",
			fault.SourceMissing, nil},
		{"a partition with another replica identity", `create table people (id int primary key, status text, note text)
			partition by range (id);
			create table rest partition of people default;
			alter table rest replica identity nothing`,
			"alter table rest replica identity default", fault.NoReplicaIdentity, nil},
		{"a row filter", table + publication + " where (id > 0)", "alter publication PUB set table people",
			fault.PublicationUnsafe, nil},
		{"a column list", table + publication + " (id, status)", "alter publication PUB set table people",
			fault.PublicationUnsafe, nil},
		{"all tables", table + "create publication PUB for all tables", "drop publication PUB", fault.PublicationUnsafe, nil},
		{"inserts only", table + publication + " with (publish = 'insert')",
			"alter publication PUB set (publish = 'insert, update, delete, truncate')", fault.PublicationUnsafe, nil},
		{"a publication of another table", table +
			"create table other (id int primary key); create publication PUB for table other",
			"alter publication PUB add table people", fault.PublicationMissing, nil},
		{"partitions under their own names",
			`create table people (id int primary key, status text, note text) partition by range (id);
				create table rest partition of people default;` +
				publication, "alter publication PUB set (publish_via_partition_root = true)", fault.PublicationUnsafe, nil},
	}
	since15 := []string{"a row filter", "a column list"}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t, pgtest.Empty())
			if slices.Contains(since15, c.name) &&
				pgtest.Value[int](t, db, "select current_setting('server_version_num')::int") < 150000 {
				t.Skip("Postgres 14 publishes whole tables only")
			}
			rig := newRig(t, db, strings.ReplaceAll(c.ddl, "PUB", db.Name()))
			if c.change != nil {
				c.change(rig)
			}
			rig.Start(t)
			f := rig.AwaitFault(t, c.code)
			touched := pgtest.Values[string](t, db, `select relname::text from pg_class
				where relnamespace = 'attendee_relay'::regnamespace
				union all select slot_name::text from pg_replication_slots where database = current_database()`)
			if len(touched) > 0 {
				t.Errorf("made although there is a fault: %q", touched)
			}
			if list := rig.Board.List(); len(list) != 1 {
				t.Errorf("%d faults instead of one: %v", len(list), list)
			}
			t.Log(f.Error())
			db.Exec(t, strings.ReplaceAll(c.repair, "PUB", db.Name()))
			rig.Publish(t)
			rig.CaughtUp(t)
			db.Exec(t, "insert into people (id, status) values (1, 'Accepted')")
			rig.CaughtUp(t)
			if got := rig.Keys(t); !slices.Equal(got, []string{"1"}) || len(rig.Board.List()) > 0 {
				t.Errorf("announced %q, faults %v", got, rig.Board.List())
			}
		})
	}
}
