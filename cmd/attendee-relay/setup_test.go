package main

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

// things lists what a relay has made.
func things(t *testing.T, db *pgtest.DB) []string {
	t.Helper()
	return pgtest.Values[string](t, db, `select 'schema' from pg_class
		where relnamespace = to_regnamespace('attendee_relay') and relname = 'checkpoint'
		union all select 'publication' from pg_publication where pubname = 'attendee_relay'
		union all select 'slot' from pg_replication_slots where slot_name = $1`, db.Name())
}

var everything = []string{"schema", "publication", "slot"}

func TestSetupAndTeardown(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.OwnTables(t)
	receiver := relaytest.NewReceiver(t, nil)
	event := relaytest.AddEvent(t, db, receiver.URL)
	relaytest.Accept(t, db, event, 2)
	environ := relaytest.Environ(db)
	says := func(want string, exit int, args ...string) {
		t.Helper()
		got := invoke(t, environ, args...)
		if got.status != exit || !strings.Contains(got.stdout+got.stderr, want) {
			t.Errorf("%q: not %q with exit status %d: %+v", args, want, exit, got)
		}
	}
	says("2 rows that are accepted now are remembered", statusDone, "setup")
	says("Nothing was done", statusDone, "setup")
	checkUntouched(t, db)
	says("Done", statusDone, "setup", "--yes")
	if got := things(t, db); !slices.Equal(got, everything) {
		t.Fatalf("there is %q", got)
	}
	made := pgtest.Value[string](t, db, "select restart_lsn::text || (select lsn from attendee_relay.checkpoint) from "+
		"pg_replication_slots where slot_name = $1", db.Name())
	says("nothing to do", statusDone, "setup", "--yes")
	if again := pgtest.Value[string](t, db,
		"select restart_lsn::text || (select lsn from attendee_relay.checkpoint) from pg_replication_slots where slot_name "+
			"= $1", db.Name()); again != made {
		t.Errorf("it has changed from %s to %s", made, again)
	}

	// What was accepted since is announced by the first run, the baseline is not.
	relaytest.Accept(t, db, event, 1)
	relay := relaytest.Run(t, db)
	relay.AwaitRole(t, ready, "leader")
	awaitState(t, db, "delivered", 1)
	says("nothing to do", statusDone, "setup", "--yes")
	says("is read by \"attendee-relay/test walsender\", process", statusFailed, "teardown", "--yes", "--purge")
	if got := things(t, db); !slices.Equal(got, everything) {
		t.Fatalf("there is %q", got)
	}
	relay.Kill()
	awaitGone(t, db)

	says("bytes of WAL", statusDone, "teardown")
	says("the schema attendee_relay stays (pending messages 0", statusDone, "teardown")
	says("Nothing was done", statusDone, "teardown", "--purge")
	if got := things(t, db); !slices.Equal(got, everything) {
		t.Fatalf("there is %q", got)
	}
	says("Done", statusDone, "teardown", "--yes")
	if got := things(t, db); !slices.Equal(got, []string{"schema"}) {
		t.Fatalf("there is %q", got)
	}
	says("Nothing to do", statusDone, "teardown", "--yes")
	says("are compared", statusDone, "setup", "--yes") // the books know of a slot: its loss is repaired
	db.Exec(t, "create view of_others as select message_id from attendee_relay.outbox")
	says("public.of_others", statusFailed, "teardown", "--purge", "--yes")
	db.Exec(t, "drop view of_others")
	environ = append(environ, "DEPLOYMENT=other")
	says("of deployment \"test\"", statusFailed, "teardown", "--purge", "--yes")
	environ = relaytest.Environ(db)
	if got := things(t, db); !slices.Equal(got, everything) {
		t.Fatalf("there is %q", got)
	}
	says("Done", statusDone, "teardown", "--purge", "--yes")
	says("Nothing to do", statusDone, "teardown", "--purge", "--yes")
	checkUntouched(t, db)
	if n := pgtest.Value[int](t, db, "select count(*)::int from attendees"); n != 3 {
		t.Errorf("%d registrations are left", n)
	}
}

// awaitGone waits until no session of a relay is left.
func awaitGone(t *testing.T, db *pgtest.DB) {
	t.Helper()
	pgtest.WaitUntil(t, ready, "the relay's sessions have ended", func() (bool, string) {
		names := pgtest.Values[string](t, db, "select application_name from pg_stat_activity where datname = "+
			"current_database() and application_name like 'attendee-relay/%'")
		return len(names) == 0, strings.Join(names, ", ")
	})
}

// A standby holds no slot, and would make one.
func TestTeardownRefusesWhileAStandbyIsConnected(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	leader, standby := startPair(t, db)
	environ := append(relaytest.Environ(db), "REPLICATION_SLOT=another_"+db.Name())
	if got := invoke(t, environ, "teardown", "--yes"); got.status != statusFailed ||
		!strings.Contains(got.stderr, "is connected") {
		t.Errorf("%+v", got)
	}
	leader.Kill()
	standby.Kill()
	awaitGone(t, db)
	if got := invoke(t, relaytest.Environ(db), "teardown", "--yes"); got.status != statusDone {
		t.Errorf("%+v", got)
	}
}

// Ours is not waited for long where the application would have to queue behind it.
func TestTeardownDoesNotWaitForLocks(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.OwnTables(t)
	if got := invoke(t, relaytest.Environ(db), "setup", "--yes"); got.status != statusDone {
		t.Fatalf("%+v", got)
	}
	tx, err := db.OwnerPool(t).Begin(t.Context()) // somebody's report
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(), "select from attendee_relay.outbox"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	got := invoke(t, relaytest.Environ(db), "teardown", "--purge", "--yes")
	if took := time.Since(began); got.status != statusFailed || !strings.Contains(got.stderr, "somebody uses it") ||
		took > 20*time.Second {
		t.Errorf("after %v: %+v", took, got)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := invoke(t, relaytest.Environ(db), "teardown", "--purge", "--yes"); got.status != statusDone ||
		len(things(t, db)) > 0 {
		t.Errorf("%+v", got)
	}
}

// What others made under the names of the configuration stays.
func TestTeardownLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ ddl, note string }{
		"a slot of another kind": {"select pg_create_physical_replication_slot('SLOT')", "it stays"},
		"a slot of another database": {"select pg_create_logical_replication_slot('SLOT', 'pgoutput')",
			"belongs to database"},
		"a publication of more tables": {"create publication attendee_relay for table attendees, " +
			"events", "also holds public.events"},
		"a publication of another one": {"create publication attendee_relay for table events", "also holds public.events"},
		"a publication of all tables":  {"create publication attendee_relay for all tables", "FOR ALL TABLES"},
		"a publication of another role": {"create publication attendee_relay for table attendees",
			"belongs to another role"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t, pgtest.Unprepared())
			environ, made := relaytest.Environ(db), db
			switch {
			case strings.Contains(name, "another database"):
				made = pgtest.New(t)
			case strings.Contains(name, "another role"):
				role := "relay_" + db.Name()
				db.Exec(t, "create role "+role+" login password 'x'")
				t.Cleanup(func() { db.Exec(t, "drop role "+role) })
				environ = append(environ, "DATABASE_URL="+db.As(t, role, "x"))
			}
			t.Cleanup(func() {
				db.Exec(t, "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1", db.Name())
			})
			made.Exec(t, strings.ReplaceAll(c.ddl, "SLOT", db.Name()))
			before := things(t, db)
			got := invoke(t, environ, "teardown", "--yes", "--purge")
			if after := things(t, db); got.status != statusDone || !strings.Contains(got.stdout, c.note) || len(before) != 1 ||
				!slices.Equal(before, after) {
				t.Errorf("%q, then %q: %+v", before, after, got)
			}
		})
	}
}

// The SQL for an administrator is enough as it is printed, may be run again, and needs no connection.
func TestSetupSQL(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, pgtest.Unprepared())
	role := "Relay " + db.Name()
	environ := append(relaytest.Environ(db), "DATABASE_URL="+db.As(t, role, "x"), "REPLICATION_SETUP=manual")
	away := invoke(t, []string{"DATABASE_URL=postgres://relay:hidden@127.0.0.1:1/x"}, "setup", "--sql")
	if away.status != statusDone || strings.Contains(away.stdout+away.stderr, "hidden") {
		t.Errorf("without a database: %+v", away)
	}
	printed := invoke(t, environ, "setup", "--sql").stdout
	t.Log(printed)
	t.Cleanup(func() { db.Exec(t, `drop owned by "`+role+`" cascade; drop role "`+role+`"`) })
	for range 2 {
		runScript(t, db, printed)
	}
	db.Exec(t, `alter role "`+role+`" password 'x'`)
	if unmet, _ := checked(t, environ, statusDone); !slices.Equal(unmet, onlyWALKeep) {
		t.Errorf("not ok: %q", unmet)
	}
	if got := invoke(t, environ, "setup", "--yes"); got.status != statusDone ||
		!strings.Contains(got.stdout, "setup makes nothing") {
		t.Errorf("%+v", got)
	}

	removal := invoke(t, environ, "teardown", "--sql", "--purge").stdout
	for range 2 {
		runScript(t, db, removal)
	}
	if got := things(t, db); len(got) > 0 {
		t.Errorf("there is still %q", got)
	}
	got := invoke(t, environ, "setup", "--yes")
	if got.status != statusFailed || !strings.Contains(got.stdout, "pg_create_logical_replication_slot") ||
		!strings.Contains(got.stdout, "fail  publication_missing") {
		t.Errorf("%+v", got)
	}
}

// runScript runs statements one by one, as a superuser's psql -f does.
func runScript(t *testing.T, db *pgtest.DB, script string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), db.OwnerURL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	var plain []string
	for line := range strings.Lines(script) {
		if !strings.HasPrefix(line, "--") {
			plain = append(plain, line)
		}
	}
	for statement := range strings.SplitSeq(strings.Join(plain, ""), ";\n") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func TestSetupTellsWhatIsInItsWay(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.Exec(t, "alter table form_values drop constraint form_values_attendee_id_fkey; alter table attendees drop "+
		"constraint attendees_parent_id_fkey; alter table attendees drop constraint attendees_pkey")
	got := invoke(t, relaytest.Environ(db), "setup", "--yes")
	if got.status != statusFailed || !strings.Contains(got.stdout, "ALTER TABLE public.attendees ADD PRIMARY KEY (id)") {
		t.Errorf("%+v", got)
	}
	checkUntouched(t, db)
	if got := invoke(t, relaytest.Environ(db), "setup", "--yes", "--sql"); got.status != statusUsage {
		t.Errorf("%+v", got)
	}
}
