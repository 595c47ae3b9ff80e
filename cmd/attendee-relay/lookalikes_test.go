package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"syscall"
	"testing"

	_ "embed"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/pgtap"
	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/postgres"
	"attendee-relay/internal/relaytest"
)

//go:embed testdata/lookalikes.sql
var lookalikes string

// Functions, operators and types that somebody has created in public are never run by the relay or by check, even where
// public is first in the role's own search_path: not by our statements, and not by the default payload query. The same
// holds through a pooler, beside a client that leaves such a search_path and temporary tables in the session that they
// share.
func TestNothingOfPublicRunsAsTheRelay(t *testing.T) {
	t.Parallel()
	server := map[string]string{"track_functions": "pl"}
	for name, open := range map[string]func(*testing.T, *pgtest.DB) *way{"directly": straight,
		"through a pooler": pooled} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Run("each statement", func(t *testing.T) {
				t.Parallel()
				eachStatementBesideLookAlikes(t, open(t, pgtest.On(t, pgtest.Start(t, server))))
			})
			t.Run("each command", func(t *testing.T) {
				t.Parallel()
				eachCommandBesideLookAlikes(t, open(t, pgtest.On(t, pgtest.Start(t, server))))
			})
		})
	}
}

// plant creates the look-alikes in a database whose role has public first in its search_path.
func plant(t *testing.T, db *pgtest.DB) {
	t.Helper()
	db.Exec(t, lookalikes)
	pathOfTheRole(t, db, "public, pg_catalog")
	kinds := pgtest.Values[string](t, db, `select pg_catalog.concat(kind, ' ', n) from (
		select kind, pg_catalog.count(*) as n from public.planted group by kind) as counted order by kind`)
	t.Logf("planted: %q", kinds)
	if len(kinds) != 6 {
		t.Fatal("not all kinds of look-alikes could be planted")
	}
}

func pathOfTheRole(t *testing.T, db *pgtest.DB, path string) {
	t.Helper()
	db.Exec(t, fmt.Sprintf("alter role %s in database %s set search_path = %s", pgtest.Role, db.Name(), path))
}

// traps are statements that run a look-alike on a session with the role's search_path, one for each kind.
var traps = map[string]string{
	"function":  "select to_jsonb(e) from public.events e",
	"aggregate": "select json_agg(e) from public.events e",
	"operator":  "select 'a'::pg_catalog.name = 'b'::pg_catalog.text",
	"cast":      "select 1::pg_catalog.int4::oid",
	"type":      "select 'a'::text",
	"relation":  "select gid from pg_prepared_xacts",
}

// live checks that a session without a search_path of its own does run a look-alike of each kind.
func live(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	defer func() { _ = conn.Close(context.Background()) }()
	for kind, sql := range traps {
		if _, err := conn.Exec(t.Context(), sql); postgres.Code(err) != "PL666" {
			t.Fatalf("%s: %s does not run a look-alike: %v", kind, sql, err)
		}
	}
	named := pgtap.Statement{SQL: "select public.to_jsonb(e) from public.events e"}
	if found := planted(t, conn, "begin; set local search_path = "+postgres.OwnPath, named); len(found) != 1 {
		t.Fatalf("a look-alike is not seen in a plan: %q", found)
	}
}

// ofPublic matches names of public as a plan has them under a search_path without it.
var ofPublic = regexp.MustCompile(`\bpublic\.[^\s,;()]+`)

// planted lists the objects of public that the plan of a statement uses, called or not, apart from the application's
// tables.
func planted(t *testing.T, conn *pgx.Conn, begin string, s pgtap.Statement) (found []string) {
	t.Helper()
	do := func(sql string) [][][]byte {
		results, err := conn.PgConn().Exec(t.Context(), sql).ReadAll()
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		return results[len(results)-1].Rows
	}
	do(begin)
	defer do("rollback")
	if path := string(do("show search_path")[0][0]); path != postgres.OwnPath {
		t.Errorf("%s has search_path %q", headline(s.SQL), path)
		return nil
	}
	described, err := conn.PgConn().Prepare(t.Context(), "explained", s.SQL, s.Types)
	if err != nil {
		return nil // as its answer says
	}
	defer do("rollback; deallocate explained")
	arguments := ""
	if n := len(described.ParamOIDs); n > 0 {
		arguments = "(" + strings.Repeat("null, ", n-1) + "null)"
	}
	do("set local plan_cache_mode = force_generic_plan")
	plan := "explain (verbose, costs off) execute explained" + arguments
	results, err := conn.PgConn().Exec(t.Context(), plan).ReadAll()
	if err != nil {
		t.Errorf("%s has no plan: %v", headline(s.SQL), err)
		return nil
	}
	for _, row := range results[0].Rows {
		for _, name := range ofPublic.FindAllString(string(row[0]), -1) {
			if !strings.Contains(referenceTables, name) {
				found = append(found, name)
			}
		}
	}
	return found
}

// eachStatementBesideLookAlikes runs every statement of the program before the look-alikes are planted and after.
func eachStatementBesideLookAlikes(t *testing.T, w *way) {
	exercise(t, w.db, w.settings...)
	statements := withUnsent(t, w.statements())
	plain := w.answers(t, statements)
	wanted := invoke(t, w.environ(), "check", "--json").stdout
	plant(t, w.db)
	live(t, pgtest.Connect(t, w.address))
	now := w.answers(t, statements)
	for _, s := range statements {
		if is, was := now[s.SQL], plain[s.SQL]; is.code != was.code || is.rows != was.rows && !moves(s) {
			t.Errorf("%s gives %+v, else %+v", headline(s.SQL), is, was)
		}
		w.spoil(t)
		if found := planted(t, w.session, w.begin, s); len(found) > 0 {
			t.Errorf("%s uses %q", headline(s.SQL), found)
		}
	}
	t.Logf("statements: %d", len(statements))
	if got := invoke(t, w.environ(), "check", "--json"); steady(got.stdout) != steady(wanted) {
		t.Errorf("check says\n%s%s\nand else\n%s", got.stdout, got.stderr, wanted)
	}
}

// eachCommandBesideLookAlikes runs every command beside the look-alikes, from the first start on, and then with an
// operator's query, which has the role's own search_path.
func eachCommandBesideLookAlikes(t *testing.T, w *way) {
	plant(t, w.db)
	stop := w.spoilAllTheTime(t)
	exercise(t, w.db, w.settings...)
	receiver := relaytest.NewReceiver(t, nil)
	event := pgtest.Value[int64](t, w.db,
		"insert into public.events (name, webhook_url, webhook_secret) values ('x', $1, $2) returning id",
		receiver.URL, relaytest.Secret)
	accept := func(settings ...string) string {
		t.Helper()
		before := len(receiver.Webhooks())
		relay := relaytest.RunWith(t, append(w.environ(), settings...))
		relay.AwaitRole(t, ready, "leader")
		w.db.Exec(t, fmt.Sprintf("insert into public.attendees (event_id, name, surname, status) values (%d, 'Ada', "+
			"'Lovelace', 'Accepted')", event))
		body := receiver.Await(t, before+1, ready)[before].Body
		if said := relay.Stderr(); strings.Contains(said, "PL666") || strings.Contains(said, "look-alike") {
			t.Errorf("a look-alike was called:\n%s", said)
		}
		relay.Signal(t, syscall.SIGTERM)
		if status := relay.Exit(t, ready); status != statusDone {
			t.Errorf("it ended with %d", status)
		}
		return body
	}
	if body := accept(); !strings.Contains(body, `"name":"Ada","surname":"Lovelace"`) {
		t.Errorf("the default query gives %s", body)
	}
	w.db.Exec(t, "create schema application; grant usage on schema application to public; create function "+
		"application.shown(pg_catalog.text) returns pg_catalog.text language sql as $$ select 'Shown ' "+
		"operator(pg_catalog.||) $1 $$")
	pathOfTheRole(t, w.db, "application, pg_catalog, public")
	body := accept("SOURCE_QUERY=" + operatorsQuery)
	if !strings.Contains(body, `"name":"Shown Ada","surname":"Lovelace"`) {
		t.Errorf("an operator's query gives %s", body)
	}
	stop()
	if n := w.calls(t); n != 0 {
		t.Errorf("look-alikes were called %d times", n)
	}
	pathOfTheRole(t, w.db, "public, pg_catalog")
	live(t, pgtest.Connect(t, w.address))
	if n := w.calls(t); n == 0 {
		t.Error("calls of look-alikes are not counted")
	}
}

// operatorsQuery names things without their schemas, as one does in psql.
const operatorsQuery = `select a.id as key, a.id as attendee_id, shown(a.name) as name, a.surname, a.email,
	null::numeric as price, null as currency, a.event_id, e.name as event_name, e.webhook_url, e.webhook_secret as secret
	from attendees a join events e on e.id = a.event_id where a.id = any ($1::bigint[])`
