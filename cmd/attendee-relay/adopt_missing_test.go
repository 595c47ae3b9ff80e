package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

// vips accepts n attendees in a way that only SOURCE_ACCEPTED=Accepted,VIP knows.
func vips(t *testing.T, db *pgtest.DB, event int64, n int) {
	t.Helper()
	db.Exec(t, "insert into attendees (event_id, name, surname, status) select $1, 'v', 'v', 'VIP' from "+
		"generate_series(1, $2)", event, n)
}

// With other SOURCE_ settings adopt says which accepted rows the ledger lacks, marks them or announces those that the
// operator wants, and forgets nobody who is accepted meanwhile. An adoption that dies, or is done twice, announces
// nobody twice.
func TestAdoptMarksOrSendsWhatIsMissing(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name  string
		flags []string
		// shown is what it says of the 30 rows, sent how many of them are announced.
		shown []string
		sent  int64
	}{
		{"marked", nil, []string{"30 accepted rows are not in the ledger", "30 of them are marked", "SOURCE_KEY 2, 3, 4,",
			", 21 and 10 more", "--send-missing"}, 0},
		{"sent", []string{"--send-missing"}, []string{"30 of them are announced: SOURCE_KEY 2, 3, 4,", ", 21 and 10 more"},
			30},
		{"narrowed", []string{"--send-missing", "--where", "attendees.id % 2 = 0 -- the even ones"},
			[]string{"15 of them are announced: SOURCE_KEY 2, 4,", "15 of them are marked"}, 15},
		{"none of them", []string{"--send-missing", "--where", "NULL"}, []string{"30 of them are marked"}, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			receiver := relaytest.NewReceiver(t, nil)
			db := pgtest.New(t)
			event := relaytest.AddEvent(t, db, receiver.URL)
			first := delivering(t, db, event)
			vips(t, db, event, 30)
			first.Kill()

			settings := []string{"SOURCE_ACCEPTED=Accepted,VIP"}
			flags := append([]string{"--keep-pending"}, c.flags...)
			before := ledgerOf(t, db)
			shown := mustAdopt(t, db, settings, flags...)
			for _, want := range append(c.shown, "Nothing was done") {
				if !strings.Contains(shown, want) {
					t.Errorf("it does not say %q: %s", want, shown)
				}
			}
			if after := ledgerOf(t, db); after != before {
				t.Errorf("without --yes the ledger went from %s to %s", before, after)
			}
			mustAdopt(t, db, settings, append(flags, "--yes")...)
			vips(t, db, event, 3) // accepted while no relay runs yet
			mustAdopt(t, db, settings, "--keep-pending", "--yes")
			relay := relaytest.Run(t, db, settings...)
			relay.AwaitRole(t, ready, "leader")
			relay.Kill()
			relaytest.Run(t, db, settings...).AwaitRole(t, ready, "leader")
			vips(t, db, event, 1)
			awaitState(t, db, "delivered", 1+c.sent+3+1)
			if got := sources(t, db); int64(len(slices.Compact(got))) != 1+c.sent+4 {
				t.Errorf("the outbox has %q", got)
			}
			if n := pgtest.Value[int64](t, db, "select count(*) from attendee_relay.ledger"); n != 35 {
				t.Errorf("the ledger has %d rows", n)
			}
		})
	}
}

func ledgerOf(t *testing.T, db *pgtest.DB) string {
	t.Helper()
	return pgtest.Value[string](t, db, "select format('%s rows, epoch %s', (select count(*) from "+
		"attendee_relay.ledger), epoch) from attendee_relay.checkpoint")
}

// A condition is an expression on the watched table that only reads, whatever is written into it.
func TestAdoptRefusesConditions(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	event := relaytest.AddEvent(t, db, "http://127.0.0.1:1/")
	relay := relaytest.Run(t, db, "DELIVERY_ENABLED=false")
	relay.AwaitRole(t, ready, "leader")
	vips(t, db, event, 2)
	relay.Kill()
	db.Exec(t, "create function writes() returns boolean language sql as 'update public.events set name = ''changed'' "+
		"returning true'; grant execute on function writes() to public")
	before := ledgerOf(t, db)
	for _, condition := range []string{
		"true) OR (true", "true); DROP TABLE attendees; SELECT (true", "true] OR ARRAY[true", "true /*", "true /* ) */ ) --",
		"'", "$$", "", "  ", "id", "nothing = 1", "name = 'x' GROUP BY id", "true, true", "count(*) > 1", "public.writes()",
		"generate_series(1, 2) = 1", "EXISTS (DELETE FROM attendees RETURNING true)", "true UNION SELECT 1", "1 / 0 = id",
		"name::int = 1", "\"", "E'\\'", "id = $3",
	} {
		status, stdout, stderr := command(t, append(relaytest.Environ(db), "SOURCE_ACCEPTED=Accepted,VIP"),
			"adopt", "--keep-pending", "--yes", "--send-missing", "--where", condition)
		if status != statusUsage || !strings.Contains(stderr, "--where") || strings.Contains(stdout, "Done") {
			t.Errorf("%q: %d, %s%s", condition, status, stdout, stderr)
		}
	}
	status, _, stderr := command(t, relaytest.Environ(db), "adopt", "--keep-pending", "--where", "true")
	if status != statusUsage || !strings.Contains(stderr, "--send-missing") {
		t.Errorf("--where alone: %d, %s", status, stderr)
	}
	if after := ledgerOf(t, db); after != before {
		t.Errorf("the ledger went from %s to %s", before, after)
	}
	got := pgtest.Value[string](t, db,
		"select format('%s %s', (select count(*) from attendees), (select string_agg(distinct name, ' ') from events))")
	if got != "2 Sommerfest" {
		t.Errorf("the application has %s", got)
	}
	// What passes is bound by its parentheses.
	shown := mustAdopt(t, db, []string{"SOURCE_ACCEPTED=Accepted,VIP"}, "--keep-pending", "--send-missing", "--where",
		fmt.Sprintf("false AND event_id = %d OR name = ')' || '--'", event))
	if !strings.Contains(shown, "2 of them are marked") {
		t.Error(shown)
	}
}
