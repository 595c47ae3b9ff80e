package outbox_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/capturetest"
	"attendee-relay/internal/fault"
	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/postgres"
	"attendee-relay/internal/secret"
	"attendee-relay/outbox"
	"attendee-relay/replication"
)

// direct connects as the relay does.
func direct(t *testing.T, address string) *pgx.Conn {
	t.Helper()
	conn, err := postgres.DirectForQuery(t.Context(), secret.New(address), "attendee-relay/test check")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// as returns the database's URL for another role.
func as(t *testing.T, db *pgtest.DB, role string) string {
	t.Helper()
	u, err := url.Parse(db.URL())
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, "x")
	return u.String()
}

// inspectQuery judges the rig's payload query as whom address names.
func inspectQuery(t *testing.T, rig *capturetest.Rig, address string) []fault.Finding {
	t.Helper()
	conn := direct(t, address)
	// By the superuser: the role of address may lack the right to read what the watched table is.
	source, err := replication.ReadSource(t.Context(), direct(t, rig.DB.OwnerURL()), rig.Source)
	if err != nil {
		t.Fatal(err)
	}
	found, err := outbox.Inspector{Config: rig.Outbox, Deployment: "test"}.Query(t.Context(), conn, source)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func unmet(findings []fault.Finding) (list, fixes []string) {
	for _, f := range findings {
		if f.Level != fault.OK {
			list, fixes = append(list, fmt.Sprintf("%s %s", f.Level, f.Code)), append(fixes, f.Fix)
		}
	}
	return list, fixes
}

// paste runs a fix as it stands, one statement after the other.
func paste(t *testing.T, db *pgtest.DB, fixes ...string) {
	t.Helper()
	for statement := range strings.SplitSeq(strings.Join(fixes, ";"), ";") {
		t.Log(statement)
		db.Exec(t, statement)
	}
}

func TestReferenceQueryPasses(t *testing.T) {
	t.Parallel()
	for name, fill := range map[string]string{
		"empty": "select",
		"large": `insert into events (name) select 'e' from generate_series(1, 20000);
			insert into attendees (event_id, name, surname) select i, 'a', 'b' from generate_series(1, 20000) i;
			insert into form_fields (event_id, type, label) select i, 'text', 'l' from generate_series(1, 20000) i;
			insert into form_values select i, i, 'v' from generate_series(1, 20000) i; analyze`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig := capturetest.New(pgtest.New(t))
			rig.DB.Exec(t, fill)
			found := inspectQuery(t, rig, rig.DB.URL())
			if list, _ := unmet(found); len(list) > 0 || len(found) < 3 {
				t.Errorf("%+v", found)
			}
		})
	}
}

func TestQueryThatCannotUseAnIndex(t *testing.T) {
	t.Parallel()
	const columns = `'a' as attendee_id, 'n' as name, 's' as surname, 'e' as email, 1 as price,
		'EUR' as currency, 1 as event_id, 'E' as event_name `
	const people = `create schema "My App"; grant usage on schema "My App" to attendee_relay;
		alter default privileges in schema "My App" grant select on tables to attendee_relay;
			create table "My App"."People" (id int primary key, "Order" text, "group" int, status text);`
	cases := []struct {
		name, ddl, query, want, repaired string
		// sql: the fix is SQL; else it is words, and the repaired query passes.
		sql bool
	}{
		{"a cast around the key", people, `select id as key, ` + columns +
			`from "My App"."People" where id::text = any ($1::text[])`, "warn query_scan",
			`select id as key, ` + columns + `from "My App"."People" where "id" = ANY ($1::integer[])`, false},
		{"a key without an index", people, `select "Order" as key, ` + columns +
			`from "My App"."People" p where p."Order" = any ($1::text[])`, "warn query_scan", "", true},
		{"one without an index in a partitioned table", `create schema "My App";
			grant usage on schema "My App" to attendee_relay;
			alter default privileges in schema "My App" grant select on tables to attendee_relay;
			create table "My App"."People" (id int primary key, "Order" text, status text) partition by range (id);
			create table rest partition of "My App"."People" default;`,
			`select "Order" as key, ` + columns + `from "My App"."People" where "Order" = any ($1::text[])`,
			"warn query_scan", "", true},
		{"a large companion without an index", people +
			`create table answers (person int, answer text);
				insert into answers select i, 'x' from generate_series(1, 20000) i; analyze`,
			`select p.id as key, a.answer, ` + columns +
				`from "My App"."People" p left join answers a on a.person = p.id where p.id = any ($1::int[])`, "warn query_scan",
			"", true},
		{"a small companion without an index", people + `create table answers (person int, answer text)`,
			`select p.id as key, a.answer, ` + columns +
				`from "My App"."People" p left join answers a on a.person = p.id where p.id = any ($1::int[])`, "", "", true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rig := capturetest.New(pgtest.New(t, pgtest.Empty()))
			rig.DB.Exec(t, c.ddl)
			rig.Source.Table, rig.Outbox.Query = "My App.People", c.query
			list, fixes := unmet(inspectQuery(t, rig, rig.DB.URL()))
			if got := strings.Join(list, " "); got != c.want {
				t.Fatalf("not ok: %q, want %q: %+v", got, c.want, inspectQuery(t, rig, rig.DB.URL()))
			}
			if c.want == "" {
				return
			}
			if c.sql {
				paste(t, rig.DB, fixes...)
			} else {
				if _, condition, _ := strings.Cut(fixes[0], ": "); !strings.Contains(c.repaired, condition) {
					t.Errorf("the fix says %q", fixes)
				}
				rig.Outbox.Query = c.repaired
			}
			if list, fixes := unmet(inspectQuery(t, rig, rig.DB.URL())); len(list) > 0 {
				t.Errorf("not ok after the fix: %q %q", list, fixes)
			}
		})
	}
}

func TestInspectedQueriesThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	const columns = `1 as key, 2 as attendee_id, 'n' as name, 's' as surname, 'e' as email, 1 as price,
		'EUR' as currency, 1 as event_id, 'E' as event_name`
	rig := capturetest.New(pgtest.New(t))
	for name, query := range map[string]string{
		"not SQL":         "selekt 1",
		"columns missing": "select 1 as key where 1 = any ($1::int[])",
		"no parameter":    "select " + columns,
		"it changes rows": "with gone as (delete from fees where id = any ($1::bigint[]) returning id) select " +
			columns + " from gone", "it cannot be planned": "select " + columns + ", 1 / 0 as broken where 1 = any ($1::int[])",
	} {
		rig.Outbox.Query = query
		if list, _ := unmet(inspectQuery(t, rig, rig.DB.URL())); !slices.Equal(list, []string{"fail query_invalid"}) {
			t.Errorf("%s: not ok: %q", name, list)
		}
	}
}

func reference(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("sql/reference_query.sql")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What a role may not read is named at once, as grants that are enough as they stand.
func TestGrantsForThePayloadQuery(t *testing.T) {
	t.Parallel()
	for name, query := range map[string]string{
		"tables in public":        "",
		"a schema that is closed": strings.ReplaceAll(reference(t), "public.", "app."),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig := capturetest.New(pgtest.New(t))
			rig.Outbox.Query = query
			role := "relay_" + rig.DB.Name()
			rig.DB.Exec(t, "create role "+role+" login password 'x'; alter table fees enable row level security")
			t.Cleanup(func() { rig.DB.Exec(t, "drop owned by "+role+" cascade; drop role "+role) })
			if query != "" {
				rig.DB.Exec(t, "create schema app; do $$ declare r regclass; begin for r in select oid from pg_class where "+
					"relkind = 'r' and relnamespace = 'public'::regnamespace loop "+
					"execute format('alter table %s set schema app', r); end loop; end $$")
				rig.Source.Table = "app.attendees"
			}
			for round := range 2 {
				list, fixes := unmet(inspectQuery(t, rig, as(t, rig.DB, role)))
				if len(list) == 0 {
					if round == 0 {
						t.Error("nothing is lacking")
					}
					return
				}
				if list[0] != "fail privilege" && list[0] != "fail row_security" {
					t.Errorf("not ok: %q", list)
				}
				paste(t, rig.DB, fixes...)
			}
			if list, fixes := unmet(inspectQuery(t, rig, as(t, rig.DB, role))); len(list) > 0 {
				t.Errorf("not ok after the grants: %q %q", list, fixes)
			}
		})
	}
}

func inspectBooks(t *testing.T, rig *capturetest.Rig, address,
	deployment string) ([]fault.Finding, replication.Position) {
	t.Helper()
	conn := direct(t, address)
	cluster, err := replication.Identify(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	settings := outbox.Settings{Table: rig.Source.Table, Key: rig.Source.Key, Status: rig.Source.Status,
		Accepted: rig.Source.Accepted, Repeat: "every"}
	found, at, err := outbox.Inspector{Config: rig.Outbox, Settings: settings, Deployment: deployment}.Books(t.Context(),
		conn, cluster)
	if err != nil {
		t.Fatal(err)
	}
	return found, at
}

// inThisOrder checks that text has all of these, one after the other.
func inThisOrder(t *testing.T, text string, parts ...string) {
	t.Helper()
	rest := text
	for _, part := range parts {
		_, after, found := strings.Cut(rest, part)
		if !found {
			t.Errorf("%q does not come in its turn in %q", part, text)
		}
		rest = after
	}
}

func TestInspectBooks(t *testing.T) {
	t.Parallel()
	rig := capturetest.New(pgtest.New(t))
	if list, _ := unmet(first(inspectBooks(t, rig, rig.DB.URL(), "test"))); len(list) > 0 {
		t.Errorf("nothing is there yet: %q", list)
	}
	rig.Start(t)
	rig.CaughtUp(t)
	rig.Stop(t)
	found, at := inspectBooks(t, rig, rig.DB.URL(), "test")
	if list, _ := unmet(found); len(list) > 0 || at.Phase != replication.PhaseStreaming || at.Pins == nil {
		t.Errorf("it has been made: %q, %+v", list, at)
	}
	cases := []struct{ name, spoil, want, repair, deployment string }{
		{"another deployment's", "select", "fail cluster_changed", "select", "staging"},
		{"another database's", "update attendee_relay.checkpoint set database = 'other'", "fail cluster_changed",
			"update attendee_relay.checkpoint set database = current_database()", "test"},
		{"of WAL that is not there", "update attendee_relay.checkpoint set epoch = lsn - '0/0', lsn = 'FFFFFFFF/0'",
			"fail lsn_behind", "update attendee_relay.checkpoint set lsn = '0/0'::pg_lsn + epoch", "test"},
		{"of other settings", `update attendee_relay.checkpoint set source = jsonb_set(source, '{status}', '"state"')`,
			"fail source_changed",
			`update attendee_relay.checkpoint set source = jsonb_set(source, '{status}', '"status"')`, "test"},
		{"newer", "update attendee_relay.schema_version set version = version + 1", "fail schema_newer",
			"update attendee_relay.schema_version set version = version - 1", "test"},
	}
	for _, c := range cases {
		rig.DB.Exec(t, c.spoil)
		list, fixes := unmet(first(inspectBooks(t, rig, rig.DB.URL(), c.deployment)))
		if !slices.Equal(list, []string{c.want}) {
			t.Errorf("%s: not ok: %q, want %q", c.name, list, c.want)
		}
		if c.want == "fail cluster_changed" || c.want == "fail lsn_behind" {
			inThisOrder(t, fixes[0], "adopt --keep-pending", "adopt --discard-pending", "DROP SCHEMA")
		}
		rig.DB.Exec(t, c.repair)
		if list, _ := unmet(first(inspectBooks(t, rig, rig.DB.URL(), "test"))); len(list) > 0 {
			t.Errorf("%s, repaired: %q", c.name, list)
		}
	}
}

func first[A, B any](a A, _ B) A { return a }

func TestRightsOnTheSchema(t *testing.T) {
	t.Parallel()
	rig := capturetest.New(pgtest.New(t, pgtest.Unprepared()))
	role := "relay_" + rig.DB.Name()
	rig.DB.Exec(t, "create role "+role+" login password 'x'")
	t.Cleanup(func() { rig.DB.Exec(t, "drop owned by "+role+" cascade; drop role "+role) })
	step := func(what string) {
		t.Helper()
		for round := 0; ; round++ {
			found, _ := inspectBooks(t, rig, as(t, rig.DB, role), "test")
			list, fixes := unmet(found)
			if len(list) == 0 && round > 0 {
				return
			}
			if !slices.Equal(list, []string{"fail privilege"}) || round > 2 {
				t.Fatalf("%s: not ok: %q %q", what, list, fixes)
			}
			paste(t, rig.DB, fixes...)
		}
	}
	step("no schema")
	rig.DB.Exec(t, "drop schema attendee_relay; create schema attendee_relay")
	step("somebody else's schema")
	rig.DB.Exec(t, "drop schema attendee_relay; create schema attendee_relay authorization attendee_relay; grant select "+
		"on all tables in schema public to attendee_relay")
	rig.Start(t)
	rig.CaughtUp(t)
	rig.Stop(t)
	step("somebody else's tables")
}
