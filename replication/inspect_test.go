package replication_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/pgserver"
	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/postgres"
	"attendee-relay/internal/secret"
	"attendee-relay/replication"
)

// inspector looks at a table people as a role that owns it and may make its publication.
func inspector(t *testing.T, db *pgtest.DB) replication.Inspector {
	t.Helper()
	db.OwnTables(t)
	return replication.Inspector{
		Config: replication.Config{Table: "public.people", Key: "id", Status: "status", Accepted: []string{"Accepted"},
			Slot: db.Name(), Publication: db.Name(), Setup: "auto", OnLoss: "resync", Takeover: 10 * time.Second},
		URL: secret.New(db.URL()), Deployment: "test", MaxConns: 8,
	}
}

func inspect(t *testing.T, i replication.Inspector) *replication.Inspection {
	t.Helper()
	conn, err := postgres.Direct(t.Context(), i.URL, "attendee-relay/test check")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	found, err := i.Inspect(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// unmet lists what is not ok, as "level code".
func unmet(found *replication.Inspection) (list []string) {
	for _, f := range found.Findings {
		if f.Level != fault.OK {
			list = append(list, fmt.Sprintf("%s %s", f.Level, f.Code))
		}
	}
	return list
}

func describe(found *replication.Inspection) string {
	var lines []string
	for _, f := range found.Findings {
		lines = append(lines, fmt.Sprintf("%-4s %s: %s | %s", f.Level, f.Code, f.Message, f.Fix))
	}
	return strings.Join(lines, "\n")
}

// paste runs a fix as it stands, one statement after the other as psql does, and restarts the server where it says so.
func paste(t *testing.T, db *pgtest.DB, server *pgserver.Server, fix string) {
	t.Helper()
	statements, comment, _ := strings.Cut(fix, "--")
	for statement := range strings.SplitSeq(statements, ";") {
		if strings.TrimSpace(statement) != "" {
			db.Exec(t, statement)
		}
	}
	if strings.Contains(comment, "restart Postgres") {
		if err := server.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// repaired pastes the fix of the finding that is expected to be the only one, and looks again.
func repaired(t *testing.T, i replication.Inspector, db *pgtest.DB, server *pgserver.Server, want string) {
	t.Helper()
	found := inspect(t, i)
	if got := unmet(found); !slices.Equal(got, []string{want}) {
		t.Fatalf("not ok: %q, want %q:\n%s", got, want, describe(found))
	}
	for _, f := range found.Findings {
		if f.Level != fault.OK {
			t.Logf("%s: %s | %s", f.Code, f.Message, f.Fix)
			paste(t, db, server, f.Fix)
		}
	}
	again := inspect(t, i)
	if got := unmet(again); len(got) > 0 {
		t.Errorf("not ok after the fix: %q:\n%s", got, describe(again))
	}
}

func TestEachPredictionIsFixedByItsSQL(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, map[string]string{"max_slot_wal_keep_size": "1GB"})
	const publication = "create publication PUB for table people"
	const partitioned = `create table people (id int primary key, status text, note text) partition by range (id);
		create table rest partition of people default;`
	cases := []struct {
		name, ddl, want string
		since           int
	}{
		{"no primary key", "create table people (id int not null, status text)", "fail no_replica_identity", 0},
		{"a deferrable primary key", "create table people (id int primary key deferrable, status text)",
			"fail no_replica_identity", 0},
		{"replica identity nothing", table + "alter table people replica identity nothing", "fail no_replica_identity", 0},
		{"replica identity full without a primary key",
			"create table people (id int not null, status text); alter table people replica identity full",
			"fail no_replica_identity", 0},
		{"a partition with another identity", partitioned + "alter table rest replica identity nothing",
			"fail no_replica_identity", 0},
		{"unlogged", strings.Replace(table, "create", "create unlogged", 1), "fail source_missing", 0},
		{"a row filter", table + publication + " where (id > 0)", "fail publication_unsafe", 150000},
		{"a column list", table + publication + " (id, status)", "fail publication_unsafe", 150000},
		{"all tables", table + "create publication PUB for all tables", "fail publication_unsafe", 0},
		{"an operation left out", table + publication + " with (publish = 'insert')", "fail publication_unsafe", 0},
		{"a whole schema", table + "create table other (id int); create publication PUB for tables in schema public",
			"fail publication_unsafe", 150000},
		{"a companion without a primary key", table + "create table other (id int);" + publication + ", other",
			"fail publication_unsafe", 0},
		{"a publication of another table", table +
			"create table other (id int primary key); create publication PUB for table other", "fail publication_missing", 0},
		{"partitions under their own names", partitioned + publication, "fail publication_unsafe", 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.On(t, server, pgtest.Empty())
			if pgtest.Value[int](t, db, "select current_setting('server_version_num')::int") < c.since {
				t.Skip("this version has none")
			}
			db.Exec(t, strings.ReplaceAll(c.ddl, "PUB", db.Name()))
			repaired(t, inspector(t, db), db, server, c.want)
			if n := pgtest.Value[int](t, db,
				"select count(*)::int from pg_replication_slots where database = current_database()"); n != 0 {
				t.Error("a slot was made")
			}
		})
	}
}

// FOR TABLE without ONLY includes the tables that inherit from the watched one, and their UPDATE fails where they have
// no key. With the fix, and with the publication of the README, it works while a relay runs; check still warns that
// their rows are not watched, and they are not.
func TestTablesThatInherit(t *testing.T) {
	t.Parallel()
	rig := newRig(t, pgtest.New(t, pgtest.Empty()),
		table+"create table heirs () inherits (people); create table heirs_of_heirs () inherits (heirs)")
	db := rig.DB
	db.Exec(t, "insert into people values (1, 'new'); insert into heirs values (2, 'new'); insert into heirs_of_heirs "+
		"values (3, 'Accepted')")
	db.Exec(t, "create publication "+db.Name()+" for table people")
	i := inspector(t, db)
	found := inspect(t, i)
	if got := withoutWALKeep(unmet(found)); !slices.Equal(got, []string{"fail publication_unsafe"}) {
		t.Fatalf("with the heirs in the publication: %q\n%s", got, describe(found))
	}
	rig.Start(t)
	rig.AwaitFault(t, fault.PublicationUnsafe)
	for _, f := range found.Findings {
		if f.Code == fault.PublicationUnsafe {
			paste(t, db, nil, f.Fix)
		}
	}
	found = inspect(t, i)
	if got := withoutWALKeep(unmet(found)); !slices.Equal(got, []string{"warn inheritance"}) ||
		!strings.Contains(describe(found), "public.heirs, public.heirs_of_heirs") {
		t.Fatalf("with the fix: %q\n%s", got, describe(found))
	}
	rig.AwaitLeading(t)
	db.Exec(t, "update people set status = 'Accepted'") // the heirs' rows, too
	rig.Settled(t)
	if got := rig.Keys(t); !slices.Equal(got, []string{"1"}) {
		t.Errorf("announced %q", got)
	}
	rig.Stop(t)
	rig.DB.AwaitFreeSlot(t, rig.Source.Slot)
	db.Exec(t, "select pg_drop_replication_slot('"+rig.Source.Slot+"')")
	rig.Start(t)
	rig.Settled(t)
	if got, ledger := rig.Keys(t), rig.Ledger(t); !slices.Equal(got, []string{"1"}) ||
		!slices.Equal(ledger, []string{"1"}) {
		t.Errorf("after a comparison with the table: announced %q, the ledger has %q", got, ledger)
	}
}

// What is the whole server's is looked at one after the other.
func TestEachPredictionOfTheServerIsFixedByItsSQL(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, map[string]string{"max_replication_slots": "2", "max_wal_senders": "2",
		"max_prepared_transactions": "5",
		"max_slot_wal_keep_size":    "1GB"})
	db := pgtest.On(t, server, pgtest.Empty())
	db.Exec(t, table)
	i := inspector(t, db) // before a commit waits for a standby
	db.Exec(t, "grant pg_read_all_stats to "+pgtest.Role)
	cases := []struct{ name, prepare, want, undo string }{
		{"WAL kept without limit", "alter system set max_slot_wal_keep_size = -1; select pg_reload_conf()",
			"warn wal_keep_unlimited", ""},
		{"a synchronous standby that is not there",
			"alter system set synchronous_standby_names = 'nobody'; select pg_reload_conf()", "warn synchronous_standby", ""},
		{"a prepared transaction", "begin; insert into people values (7, 'new'); prepare transaction 'it''s left'",
			"warn prepared_transactions", ""},
		{"no slot left", "select pg_create_physical_replication_slot('a' || i) from generate_series(1, 2) i",
			"fail slots_exhausted",
			"select pg_drop_replication_slot(slot_name) from pg_replication_slots"},
		{"few connections", "alter system set max_connections = 9; alter system set superuser_reserved_connections = 3 -- " +
			"restart Postgres", "warn connections", ""},
		{"wal_level", "alter system set wal_level = 'replica' -- restart Postgres", "fail wal_level", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if strings.HasPrefix(c.prepare, "begin") {
				transaction(t, db, c.prepare)
			} else {
				paste(t, db, server, c.prepare)
			}
			repaired(t, i, db, server, c.want)
			paste(t, db, server, c.undo)
		})
	}
	t.Run("a synchronous standby that the role cannot see", func(t *testing.T) {
		db.Exec(t, `create role "blind" login replication password 'x'; grant select (id, status) on people to "blind";
			grant create on database `+db.Name()+` to "blind";
			alter table people owner to "blind"`)
		paste(t, db, server, "alter system set synchronous_standby_names = 'nobody'; select pg_reload_conf()")
		i := i
		i.URL = secret.New(db.As(t, "blind", "x"))
		for _, want := range []string{"GRANT pg_read_all_stats TO", "ALTER SYSTEM SET synchronous_standby_names"} {
			found := inspect(t, i)
			at := slices.IndexFunc(found.Findings, func(f fault.Finding) bool { return f.Level == fault.Warn })
			if list := unmet(found); at < 0 || !slices.Equal(list, []string{"warn synchronous_standby"}) ||
				!strings.HasPrefix(found.Findings[at].Fix, want) {
				t.Fatalf("not ok: %q:\n%s", list, describe(found))
			}
			if fix := found.Findings[at].Fix; strings.HasPrefix(fix, "GRANT") {
				db.Exec(t, "set synchronous_commit = local; "+fix) // else it waits for the standby, too
			} else {
				paste(t, db, server, fix)
			}
		}
		if list := unmet(inspect(t, i)); len(list) > 0 {
			t.Errorf("not ok: %q", list)
		}
	})
	t.Run("no walsender left", func(t *testing.T) {
		paste(t, db, server, "alter system set max_wal_senders = 1 -- restart Postgres")
		conn, err := postgres.Replication(t.Context(), secret.New(db.URL()), "other", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close(context.Background()) }()
		repaired(t, inspector(t, db), db, server, "fail senders_exhausted")
	})
}

// transaction runs statements of the application or a DBA on a connection of their own, one by one.
func transaction(t *testing.T, db *pgtest.DB, statements string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), db.OwnerURL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	for statement := range strings.SplitSeq(statements, ";") {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
}

// A role that owns nothing is told, in one round, what it lacks; the grants as they stand are enough, also for run.
func TestGrantsForARoleThatOwnsNothing(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, pgtest.Empty())
	role := "Relay of " + db.Name() // needs quotes
	db.Exec(t, `create schema app; create table app.people (id int primary key, status text);
		alter table app.people enable row level security;
		create role "`+role+`" login password 'x' connection limit 5`)
	t.Cleanup(func() { db.Exec(t, `drop owned by "`+role+`"; drop role "`+role+`"`) })
	i := inspector(t, db)
	i.Config.Table = "app.people"
	i.URL = secret.New(db.As(t, role, "x"))
	want := []string{"fail row_security", "fail privilege", "fail privilege", "warn connections",
		"warn wal_keep_unlimited", "fail privilege"}
	found := inspect(t, i)
	if got := unmet(found); !slices.Equal(got, want) {
		t.Fatalf("not ok: %q, want %q:\n%s", got, want, describe(found))
	}
	for _, f := range found.Findings {
		if f.Level != fault.OK && f.Code != fault.WALKeepUnlimited {
			t.Log(f.Fix)
			paste(t, db, nil, f.Fix)
		}
	}
	found = inspect(t, i)
	if got := unmet(found); !slices.Equal(got, []string{"warn wal_keep_unlimited"}) || !found.Published {
		t.Errorf("not ok after the grants: %q:\n%s", got, describe(found))
	}
	if owns := pgtest.Value[bool](t, db, "select exists (select from pg_class where relowner = $1::regrole)",
		`"`+role+`"`); owns {
		t.Error("the role owns something")
	}
}

// Rights on the three columns that capture reads are enough.
func TestColumnGrantsAreEnough(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, pgtest.Empty())
	role := "relay_" + db.Name()
	db.Exec(t, table+"create publication "+db.Name()+" for table people; "+
		"create role "+role+" login replication password 'x'; grant select (id) on people to "+role)
	t.Cleanup(func() { db.Exec(t, "drop owned by "+role+"; drop role "+role) })
	i := inspector(t, db)
	i.URL = secret.New(db.As(t, role, "x"))
	if list := withoutWALKeep(unmet(inspect(t, i))); !slices.Equal(list, []string{"fail privilege"}) {
		t.Errorf("without the status: not ok: %q", list)
	}
	db.Exec(t, "grant select (status) on people to "+role)
	if list := withoutWALKeep(unmet(inspect(t, i))); len(list) > 0 {
		t.Errorf("not ok: %q", list)
	}
}

func withoutWALKeep(list []string) []string {
	return slices.DeleteFunc(list, func(s string) bool { return s == "warn wal_keep_unlimited" })
}
