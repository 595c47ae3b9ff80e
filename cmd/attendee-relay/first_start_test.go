package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
	"attendee-relay/internal/tcptest"
)

// plainRole makes a role as the README says, with a publication made by the owner and no grant yet, and returns it
// with the environment of a relay that connects as it.
func plainRole(t *testing.T, db *pgtest.DB) (role string, environ []string) {
	t.Helper()
	role = "plain_" + db.Name()
	db.Exec(t, "create role "+role+" login replication password 'x'; drop publication if exists attendee_relay; create "+
		"schema if not exists attendee_relay; alter schema attendee_relay owner to "+role+
		"; grant usage on schema public to "+role+"; create publication "+db.Name()+" for table only public.attendees")
	t.Cleanup(func() { db.Exec(t, "drop owned by "+role+" cascade; drop role "+role) })
	return role, append(relaytest.Environ(db), "DATABASE_URL="+db.As(t, role, "x"), "REPLICATION_PUBLICATION="+db.Name())
}

const referenceTables = "public.attendees, public.events, public.groups, public.fees, public.form_fields, " +
	"public.form_values"

// says waits until /readyz is this and shows this one fault, with all of these words.
func says(t *testing.T, relay *relaytest.Relay, status int, code string, words ...string) {
	t.Helper()
	relay.Await(t, ready, "shows "+code+" and "+strings.Join(words, ", "), func(s relaytest.State) bool {
		if s.Status != status || len(s.Faults) != 1 || s.Faults[0].Code != code {
			return false
		}
		for _, word := range words {
			if !strings.Contains(s.Faults[0].Message, word) {
				return false
			}
		}
		return true
	})
}

// On a first start run touches nothing until check would pass, says what is lacking, and goes on without a restart.
// Later a right that is missing stops rendering only.
func TestAFirstStartWaitsForTheRights(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	role, environ := plainRole(t, db)
	receiver := relaytest.NewReceiver(t, nil)
	event := relaytest.AddEvent(t, db, receiver.URL)
	db.Exec(t, "grant select on public.attendees to "+role)
	relay := relaytest.RunWith(t, environ)
	untouched := func() {
		t.Helper()
		const made = "select (select count(*)::int from pg_replication_slots where slot_name = $1) + (select count(*)::int " +
			"from pg_class where relnamespace = 'attendee_relay'::regnamespace)"
		if n := pgtest.Value[int](t, db, made, db.Name()); n != 0 {
			t.Errorf("it has made %d slots and tables", n)
		}
	}
	says(t, relay, http.StatusServiceUnavailable, "privilege", "GRANT SELECT ON public.events TO",
		"GRANT SELECT ON public.form_values TO")
	untouched()
	db.Exec(t, "grant select on "+referenceTables+" to "+role+"; revoke select on public.fees from "+role)
	says(t, relay, http.StatusServiceUnavailable, "privilege", "GRANT SELECT ON public.fees TO")
	untouched()
	db.Exec(t, "alter table public.groups rename column name to title; grant select on public.fees to "+role)
	says(t, relay, http.StatusServiceUnavailable, "query_invalid", "g.name")
	untouched()
	db.Exec(t, "alter table public.groups rename column title to name; alter table public.fees enable row level security")
	says(t, relay, http.StatusServiceUnavailable, "row_security", "public.fees")
	untouched()
	if unmet, _ := checked(t, environ, statusFailed); !slices.Contains(unmet, "fail row_security") {
		t.Errorf("check says %q", unmet)
	}
	db.Exec(t, "alter table public.fees disable row level security")
	relay.AwaitRole(t, ready, "leader")
	relaytest.Accept(t, db, event, 1)
	receiver.Await(t, 1, ready)

	db.Exec(t, "revoke select on public.fees from "+role)
	relaytest.Accept(t, db, event, 1)
	says(t, relay, http.StatusServiceUnavailable, "query_failing", "GRANT SELECT ON public.fees TO")
	if s := readStatusOf(t, environ, statusDone); *s.Acceptances.Waiting != 1 || *s.Acceptances.Failing != 1 ||
		!*s.Slot.Active {
		t.Errorf("status: %+v", s)
	}
	db.Exec(t, "grant select on public.fees to "+role)
	relay.AwaitRole(t, ready, "leader")
	receiver.Await(t, 2, ready)
}

// The payload query of a first start is looked at under the search_path that it is run under, as check does.
func TestAFirstStartReadsTheQueryUnderTheRolesPath(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	receiver := relaytest.NewReceiver(t, nil)
	event := relaytest.AddEvent(t, db, receiver.URL)
	query := `select a.id as key, a.id as attendee_id, a.name, a.surname, a.email, 1 as price, 'EUR' as currency,
		e.id as event_id,
		e.name as event_name, e.webhook_url, e.webhook_secret as secret from attendees a join events e on e.id = a.event_id
			where a.id = any ($1::bigint[])`
	relay := relaytest.Run(t, db, "SOURCE_QUERY="+query)
	relay.AwaitRole(t, ready, "leader")
	relaytest.Accept(t, db, event, 1)
	receiver.Await(t, 1, ready)
}

// A key that fails for good shows how many wait and why, and leaves the relay ready; the others go on.
func TestOneKeyThatFailsIsShown(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	receiver := relaytest.NewReceiver(t, nil)
	event := relaytest.AddEvent(t, db, receiver.URL)
	query := `select a.id as key, a.id as attendee_id, a.name, a.surname, a.email, 1 / length(a.name) as price,
		'EUR' as currency, e.id as event_id,
		e.name as event_name, e.webhook_url, e.webhook_secret as secret from public.attendees a join public.events e
			on e.id = a.event_id where a.id = any ($1::bigint[])`
	addr := tcptest.FreeAddr(t)
	environ := append(relaytest.Environ(db), "SOURCE_QUERY="+query, "ADMIN_ADDR="+addr)
	relay := relaytest.Run(t, db, "SOURCE_QUERY="+query)
	relay.AwaitRole(t, ready, "leader")
	relaytest.Accept(t, db, event, 1)
	db.Exec(t, "insert into attendees (event_id, name, surname, status) values ($1, '', '', 'Accepted')", event)
	says(t, relay, http.StatusOK, "query_failing", "error of the payload query: 1;", "division by zero")
	relaytest.Accept(t, db, event, 2)
	receiver.Await(t, 3, ready)
	says(t, relay, http.StatusOK, "query_failing", "error of the payload query: 1;", "division by zero")
	s := readStatusOf(t, environ, statusDone)
	if *s.Acceptances.Waiting != 1 || *s.Acceptances.Failing != 1 || *s.OldestWaiting <= 0 || len(s.Faults) != 1 ||
		s.Faults[0].Code != "query_failing" {
		t.Errorf("status without a relay on this machine: %+v", s)
	}
	db.Exec(t, "update attendees set name = 'Ada' where name = ''")
	receiver.Await(t, 4, ready)
	relay.Await(t, ready, "has no fault", func(s relaytest.State) bool {
		return s.Status == http.StatusOK && len(s.Faults) == 0
	})
}

// A wrong SOURCE_ACCEPTED is green everywhere but for this warning, in check, status and the log.
func TestAWrongAcceptedValueIsWarnedOf(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	event := relaytest.AddEvent(t, db, "http://127.0.0.1:1/")
	db.Exec(t, "insert into attendees (event_id, name, surname, status) select $1, 'a', 'b', case when i <= 3 then "+
		"'CANCELLED' else 'ACTIVE' end from generate_series(1, 10) i", event)
	const want = "status has ACTIVE 7, CANCELLED 3; none is Accepted"
	environ := append(relaytest.Environ(db), "ADMIN_ADDR="+tcptest.FreeAddr(t))
	if unmet, _ := checked(t, environ, statusDone); !slices.Contains(unmet, "warn accepted_unseen") {
		t.Errorf("check says %q", unmet)
	}
	if text := invoke(t, environ, "check"); !strings.Contains(text.stdout, want) ||
		!strings.Contains(text.stdout, "accepted_unseen.\n") {
		t.Error(text.stdout)
	}
	if text := invoke(t, environ, "status"); !strings.Contains(text.stdout, want) {
		t.Error(text.stdout)
	}
	relay := relaytest.RunWith(t, environ)
	pgtest.WaitUntil(t, ready, "the log warns", func() (bool, string) {
		return strings.Contains(relay.Stderr(), want), relay.Stderr()
	})
	pgtest.WaitUntil(t, ready, "the relay on this machine leads", func() (bool, string) {
		s := readStatusOf(t, environ, statusDone)
		return s.Role == "leader" && len(s.Faults) == 1 && s.Faults[0].Code == "accepted_unseen" &&
			strings.Contains(s.Faults[0].Message, want), fmt.Sprintf("%+v", s)
	})
	db.Exec(t, "update attendees set status = 'Accepted' where id = (select min(id) from attendees)")
	if s := readStatusOf(t, environ, statusDone); len(s.Faults) != 0 {
		t.Errorf("%+v", s.Faults)
	}
}
