package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"attendee-relay/demo"
	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

// eachOdd runs a test on a database of each encoding that has bytes without UTF-8; odd is a name with such bytes.
func eachOdd(t *testing.T, test func(t *testing.T, db *pgtest.DB, receiver *relaytest.Receiver, odd string)) {
	t.Helper()
	for encoding, odd := range map[string]string{"SQL_ASCII": "n\x81\xff", "WIN1252": "n\x81", "EUC_JP": "n\xf5\xa1"} {
		t.Run(encoding, func(t *testing.T) {
			t.Parallel()
			test(t, pgtest.New(t, pgtest.Encoding(encoding)), relaytest.NewReceiver(t, nil), odd)
		})
	}
}

// Beside the watched columns there are columns, types, labels, tables, schemas, publications, roles and statuses with
// names that are not UTF-8: check lists those that matter, and run works.
func TestNamesWithoutUTF8(t *testing.T) {
	t.Parallel()
	eachOdd(t, func(t *testing.T, db *pgtest.DB, receiver *relaytest.Receiver, odd string) {
		db.Exec(t, demo.Schema)
		db.Exec(t, pgtest.Publication("attendee_relay", "public.attendees"))
		role := odd + db.Name()
		db.Exec(t, `create role "`+role+`"`)
		t.Cleanup(func() { db.Exec(t, `drop owned by "`+role+`"; drop role "`+role+`"`) })
		db.Exec(t, strings.NewReplacer("ODD", odd, "ROLE", role).Replace(`
			create schema "ODD"; create type "ODD"."ODD" as enum ('ODD', 'x'); create domain "ODD"."dODD" as "ODD"."ODD";
			alter table attendees add "ODD" "ODD"."ODD", add "2ODD" "ODD"."dODD"[] default '{ODD}';
			create table "ODD"."tODD" ("ODD" int primary key, "2ODD" "ODD"."ODD");
			create table "hODD" ("mODD" text) inherits (attendees);
			create publication "ODD" for table "ODD"."tODD";
			grant create on schema public to "ROLE"`))
		event := relaytest.AddEvent(t, db, receiver.URL)
		db.Exec(t, strings.ReplaceAll(`insert into attendees (event_id, name, surname, status, "ODD")
			values ($1, 'a', 'a', 'ODD', 'ODD'), ($1, 'b', 'b', 'VIP', 'x')`, "ODD", odd), event)
		query := `SOURCE_QUERY=select id as key, id as attendee_id, name, surname, email, 1 as price, 'EUR' as currency,
			1 as event_id, 'e' as event_name, (select webhook_url from public.events) as webhook_url
			from public.attendees where id = any ($1::bigint[])`
		unmet, findings := checked(t, append(relaytest.Environ(db), query), statusDone)
		want := append(onlyWALKeep[:len(onlyWALKeep):len(onlyWALKeep)], "warn inheritance", "warn accepted_unseen",
			"warn search_path")
		slices.Sort(unmet)
		slices.Sort(want)
		all := fmt.Sprint(findings)
		if !slices.Equal(unmet, want) {
			t.Errorf("not ok: %q", unmet)
		}
		shown := escaped(odd)
		for _, name := range []string{`"h` + shown + `"`, `"` + shown + db.Name() + `"`, shown + ` 1`} {
			if !strings.Contains(strings.ReplaceAll(all, `\\`, `\`), name) {
				t.Errorf("check does not show %s: %s", name, all)
			}
		}
		relay := relaytest.Run(t, db, query)
		relay.AwaitRole(t, ready, "leader")
		relaytest.Accept(t, db, event, 2)
		db.Exec(t, `update attendees set status = 'Accepted' where status = '`+odd+`'`)
		awaitState(t, db, "delivered", 3)
		if state := relay.State(t); state.Codes() != "" {
			t.Errorf("faults: %+v", state)
		}
		db.Exec(t, `create view v as select 1 as "`+odd+`"`)
		star := strings.NewReplacer("select id", "select v.*, id", "from public.att", "from public.v, public.att").Replace(
			query)
		_, findings = checked(t, append(relaytest.Environ(db), star), statusFailed)
		if all := fmt.Sprint(findings); !strings.Contains(all, "gives a column whose name is not UTF-8") {
			t.Errorf("a query that gives it: %s", all[strings.LastIndex(all, "accepted_unseen"):])
		}
		db.Exec(t, strings.ReplaceAll(`alter publication attendee_relay add table only "ODD"."tODD";
			alter table "ODD"."tODD" replica identity nothing`, "ODD", odd))
		_, findings = checked(t, append(relaytest.Environ(db), query), statusFailed)
		if all := fmt.Sprint(findings); !strings.Contains(all, "publication_unsafe") || !strings.Contains(all, shown) {
			t.Errorf("a table that the publication breaks is not named: %s", all)
		}
	})
}

// A watched column or type whose name no statement can contain is named in check and in a fault, and capture starts
// once it is renamed.
func TestOwnNamesWithoutUTF8(t *testing.T) {
	t.Parallel()
	const odd = "n\x81\xff"
	for _, c := range []struct{ name, harm, repair string }{
		{"identity", `alter table attendees rename id to "` + odd + `"; alter table attendees add id bigint`,
			`alter table attendees drop id; alter table attendees rename "` + odd + `" to id`},
		{"type of the status", `create type "` + odd + `" as enum ('Pending', 'Accepted', '` + odd + `');
			alter table attendees alter status drop default, alter status type "` + odd + `" using status::"` + odd + `"`,
			`alter type "` + odd + `" rename to state`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t, pgtest.Encoding("SQL_ASCII"))
			db.Exec(t, demo.Schema)
			db.Exec(t, pgtest.Publication("attendee_relay", "public.attendees"))
			db.Exec(t, c.harm)
			_, findings := checked(t, relaytest.Environ(db), statusFailed)
			relay := relaytest.Run(t, db)
			state := relay.Await(t, ready, "names it", func(s relaytest.State) bool { return s.Codes() == "source_missing" })
			for _, said := range []string{fmt.Sprint(findings), state.Faults[0].Message} {
				if !strings.Contains(strings.ReplaceAll(said, `\\`, `\`), `n\x81\xff`) ||
					!strings.Contains(said, "not UTF-8") {
					t.Errorf("it says %s", said)
				}
			}
			db.Exec(t, c.repair)
			relay.AwaitRole(t, ready, "leader")
		})
	}
}
