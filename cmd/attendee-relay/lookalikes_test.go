package main

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/postgres"
	"attendee-relay/internal/relaytest"
)

//go:embed testdata/lookalikes.sql
var lookalikes string

// Somebody who may create things in public, which even stands first in the role's own search_path, has none of them run
// by the relay or by check: neither by a statement of ours, nor by the default payload query.
func TestNothingOfPublicRunsAsTheRelay(t *testing.T) {
	t.Parallel()
	db := pgtest.On(t, pgtest.Start(t, nil))
	statements := exercised(t, db)
	plain := answers(t, db, statements, "")
	wanted := invoke(t, relaytest.Environ(db), "check", "--json").stdout
	db.Exec(t, lookalikes)
	db.Exec(t, fmt.Sprintf("alter role %s in database %s set search_path = public, pg_catalog", pgtest.Role, db.Name()))
	kinds := pgtest.Values[string](t, db, `select pg_catalog.concat(kind, ' ', n) from (
		select kind, pg_catalog.count(*) as n from public.planted group by kind) as counted order by kind`)
	t.Logf("planted: %q", kinds)
	if len(kinds) != 4 {
		t.Fatal("not all kinds of look-alikes could be planted")
	}

	// Without a path of its own a statement does run them.
	conn, err := pgx.Connect(t.Context(), db.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	for _, trapped := range []string{"select to_jsonb(e) from public.events e", "select json_agg(e) from public.events e",
		"select 'a'::pg_catalog.name = 'b'::pg_catalog.text"} {
		if _, err := conn.Exec(t.Context(), trapped); postgres.Code(err) != "PL666" {
			t.Fatalf("%s does not run a look-alike: %v", trapped, err)
		}
	}

	now := answers(t, db, statements, "")
	for _, s := range statements {
		if is, was := now[s.SQL], plain[s.SQL]; is.code != was.code || is.rows != was.rows && !moves(s) {
			t.Errorf("%s gives %+v, else %+v", headline(s.SQL), is, was)
		}
	}
	if got := invoke(t, relaytest.Environ(db), "check", "--json"); steady(got.stdout) != steady(wanted) {
		t.Errorf("check says\n%s%s\nand else\n%s", got.stdout, got.stderr, wanted)
	}

	receiver := relaytest.NewReceiver(t, nil)
	event := pgtest.Value[int64](t, db,
		"insert into public.events (name, webhook_url, webhook_secret) values ('x', $1, $2) returning id",
		receiver.URL, relaytest.Secret)
	relay := relaytest.Run(t, db)
	relay.AwaitRole(t, ready, "leader")
	db.Exec(t, fmt.Sprintf("insert into public.attendees (event_id, name, surname, status) values (%d, 'Ada', "+
		"'Lovelace', 'Accepted')", event))
	receiver.Await(t, 1, ready)
	if said := relay.Stderr(); strings.Contains(said, "PL666") || slices.Contains(strings.Fields(said), "look-alike") {
		t.Errorf("a look-alike was called:\n%s", said)
	}
	relay.Signal(t, syscall.SIGTERM)
	if status := relay.Exit(t, ready); status != statusDone {
		t.Errorf("it ended with %d", status)
	}
}
