package demo_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"attendee-relay/demo"
	"attendee-relay/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestLoadFillsEveryTable(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, pgtest.Empty())
	secrets, err := demo.Load(t.Context(), db.OwnerURL(), "http://127.0.0.1:9")
	if err != nil {
		t.Fatal(err)
	}
	urls := pgtest.Values[string](t, db, "select webhook_url from events order by id")
	want := []string{"http://127.0.0.1:9/sommerfest", "http://127.0.0.1:9/gophercamp", "http://127.0.0.1:9/volkslauf"}
	if !slices.Equal(urls, want) {
		t.Errorf("URLs: %q", urls)
	}
	slices.Sort(secrets)
	if secrets = slices.Compact(secrets); len(secrets) != len(urls) || !strings.HasPrefix(secrets[0], "whsec_") {
		t.Errorf("%d different secrets", len(secrets))
	}
	types := pgtest.Values[string](t, db, "select distinct type from form_fields order by type")
	if !slices.Equal(types, []string{"check_box", "radio", "select", "text", "text_area"}) {
		t.Errorf("types of form fields: %q", types)
	}
	prices := pgtest.Values[string](t, db, "select price::text from fees order by id")
	if !slices.Contains(prices, "0.00") || !slices.Contains(prices, "123.45") {
		t.Errorf("prices: %q", prices)
	}
	// the numbers go on after the sample's
	db.Exec(t, "insert into attendees (event_id, name, surname) values (1, 'a', 'b')")
}

// step is what one step of a round leaves in the database.
type step struct {
	announced int
	// accepted and all count the players' rows after the step, additional attendees included.
	accepted, all int64
	says          string
}

func TestPlayerPlaysARound(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, pgtest.Empty())
	if _, err := demo.Load(t.Context(), db.OwnerURL(), "http://127.0.0.1:9"); err != nil {
		t.Fatal(err)
	}
	var said []string
	var accepting []int64
	player := demo.NewPlayer(db.OwnerPool(t),
		func(line string) { said = append(said, line) },
		func(id int64, _ time.Time) { accepting = append(accepting, id) })

	for i, want := range []step{
		{1, 1, 1, "free of charge"},
		{0, 1, 2, "has to pay"},
		{1, 2, 2, "pays"},
		{1, 5, 5, "two more people"},
		{0, 5, 5, "e-mail"},
		{0, 5, 5, "rolled back"},
		{0, 4, 5, "cancels"},
		{1, 5, 6, "every type"},
		{1, 6, 6, "accepted again"},
	} {
		said, accepting = nil, nil
		if err := player.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		const count = `select count(*) filter (where status = 'Accepted' or not $1) from attendees where id > 1000`
		got := step{len(accepting), pgtest.Value[int64](t, db, count, true), pgtest.Value[int64](t, db, count, false),
			want.says}
		if got != want || len(said) != 1 || !strings.Contains(said[0], want.says) {
			t.Errorf("step %d: got %+v, said %q, want %+v", i+1, got, said, want)
		}
		for _, id := range accepting {
			const query = `select status = 'Accepted' and parent_id is null from attendees where id = $1`
			if !pgtest.Value[bool](t, db, query, id) {
				t.Errorf("step %d announced %d, which is not an accepted main attendee", i+1, id)
			}
		}
	}
	checkRound(t, db, accepting[0])
}

// checkRound looks at what the round as a whole left; again is the attendee who was accepted twice.
func checkRound(t *testing.T, db *pgtest.DB, again int64) {
	t.Helper()
	for query, want := range map[string]int64{
		"select count(*) from attendees where parent_id is not null and id > 1000":                                         2,
		"select count(distinct xmin::text) from attendees where parent_id is not null and id > 1000":                       1,
		"select count(*) from attendees where fee_id is null and id > 1000":                                                1,
		fmt.Sprintf("select count(*) from attendees where id = %d and email like 'new.%%' and status = 'Accepted'", again): 1,
		`select count(distinct type) from form_values join form_fields on id = form_field_id where attendee_id > 1000`:     4,
	} {
		if got := pgtest.Value[int64](t, db, query); got != want {
			t.Errorf("%s: %d, want %d", query, got, want)
		}
	}
}
