package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
	"attendee-relay/internal/tcptest"
)

// shape is the contract's, section 6, in its order.
const shape = `{"role","slot":{"name","active","wal_status","lag_bytes","retained_wal_bytes"},"checkpoint_lsn",` +
	`"acceptances":{"waiting","failing","empty"},"outbox":{"pending","delivered","dead","skipped"},` +
	`"oldest_pending_seconds","oldest_waiting_seconds","endpoints","faults"}`

// names writes the names of an object's members in their order, those of lists left out.
func names(t *testing.T, text string) string {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	var write func() string
	write = func() string {
		token, err := decoder.Token()
		if err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		switch token {
		case json.Delim('['):
			for decoder.More() {
				write()
			}
			_, _ = decoder.Token()
		case json.Delim('{'):
			var members []string
			for decoder.More() {
				name, _ := decoder.Token()
				members = append(members, strings.TrimSuffix(`"`+name.(string)+`":`+write(), ":"))
			}
			_, _ = decoder.Token()
			return "{" + strings.Join(members, ",") + "}"
		}
		return ""
	}
	return write()
}

func readStatusOf(t *testing.T, environ []string, exit int) relayStatus {
	t.Helper()
	got := invoke(t, environ, "status", "--json")
	var s relayStatus
	if err := json.Unmarshal([]byte(got.stdout), &s); err != nil || got.status != exit {
		t.Fatalf("%v: %+v", err, got)
	}
	if has := names(t, got.stdout); has != shape {
		t.Errorf("the shape is %s", has)
	}
	if strings.Contains(got.stdout+got.stderr, "hidden") {
		t.Errorf("it shows what is hidden: %+v", got)
	}
	return s
}

func TestStatus(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	nothing := readStatusOf(t, relaytest.Environ(db), statusDone)
	if nothing.Role != "none" || nothing.Slot.Name != db.Name() || nothing.Slot.WALStatus != nil ||
		nothing.Checkpoint != nil || len(nothing.Faults) != 0 {
		t.Errorf("nothing exists yet: %+v", nothing)
	}

	failing := relaytest.NewReceiver(t, func(relaytest.Webhook) int { return http.StatusInternalServerError })
	good := relaytest.NewReceiver(t, nil)
	addr := tcptest.FreeAddr(t)
	relay := relaytest.Run(t, db, "DELIVERY_RETRY_SCHEDULE=1h")
	relay.AwaitRole(t, ready, "leader")
	relaytest.Accept(t, db, relaytest.AddEvent(t, db, good.URL), 2)
	relaytest.Accept(t, db, relaytest.AddEvent(t, db, failing.URL+"/hook?token=hidden"), 1)
	db.Exec(t, "insert into attendees (event_id, name, surname, status) values ((select max(id) from events), '', '', "+
		"'Accepted')")
	db.Exec(t, "insert into events (name) values ('no URL'); insert into attendees (event_id, name, surname, status) "+
		"values ((select max(id) from events), '', '', 'Accepted')")
	awaitState(t, db, "delivered", 2)
	awaitState(t, db, "skipped", 1)
	pgtest.WaitUntil(t, ready, "both have failed", func() (bool, string) {
		return pgtest.Value[int](t, db, "select count(*)::int from attendee_relay.pending where attempts > 0") == 2, ""
	})
	s := readStatusOf(t, relaytest.Environ(db), statusDone)
	if s.Role != "leader" || !*s.Slot.Active || *s.Slot.WALStatus != "reserved" || s.Slot.Lag == nil ||
		s.Slot.RetainedWAL == nil || *s.Checkpoint == "" ||
		*s.Outbox.Pending != 2 || *s.Outbox.Delivered != 2 || *s.Outbox.Skipped != 1 || len(s.Endpoints) != 1 ||
		len(s.Faults) != 0 {
		t.Errorf("%+v", s)
	}
	if e := s.Endpoints[0]; e.URL != failing.URL+"/hook" || e.State != "failing" || e.By != nil || e.Failures != 2 ||
		e.Pending != 2 {
		t.Errorf("%+v", e)
	}
	text := invoke(t, relaytest.Environ(db), "status")
	for _, line := range []string{"role         leader\n", "2 pending", failing.URL + "/hook failing: 2 pending",
		"faults       none"} {
		if !strings.Contains(text.stdout, line) {
			t.Errorf("there is no %q in %s", line, text.stdout)
		}
	}

	// A standby on this machine says what it is; without one, the leader elsewhere is seen by its hold on the slot.
	standby := relaytest.RunWith(t, append(relaytest.Environ(db), "ADMIN_ADDR="+addr))
	pgtest.WaitUntil(t, ready, "the standby answers", func() (bool, string) {
		s = readStatusOf(t, append(relaytest.Environ(db), "ADMIN_ADDR="+addr), statusDone)
		return s.Role == "standby" && len(s.Faults) == 0, s.Role
	})
	standby.Kill()
	relay.Kill()
	pgtest.WaitUntil(t, ready, "nobody reads the slot", func() (bool, string) {
		s = readStatusOf(t, relaytest.Environ(db), statusDone)
		return s.Role == "none" && !*s.Slot.Active, s.Role
	})
	db.Exec(t, "drop publication attendee_relay")
	if s = readStatusOf(t, relaytest.Environ(db), statusDone); len(s.Faults) != 1 ||
		s.Faults[0].Code != "publication_missing" {
		t.Errorf("%+v", s.Faults)
	}
}

func TestStatusOfADatabaseThatIsAway(t *testing.T) {
	t.Parallel()
	environ := []string{"DATABASE_URL=postgres://relay:hidden@127.0.0.1:1/x"}
	s := readStatusOf(t, environ, statusFailed)
	unknown(t, environ)
	if s.Slot.Active != nil {
		t.Errorf("%+v", s.Slot)
	}
	if s.Role != "none" || len(s.Faults) != 1 || s.Faults[0].Code != "database_unreachable" {
		t.Errorf("%+v", s)
	}
}

// unknown expects every figure of status to be null, or unknown in the text, and exit status 1.
func unknown(t *testing.T, environ []string) {
	t.Helper()
	got := invoke(t, environ, "status", "--json")
	for _, name := range []string{"waiting", "failing", "empty", "pending", "delivered", "dead", "skipped",
		"oldest_pending_seconds", "oldest_waiting_seconds", "endpoints"} {
		if !strings.Contains(got.stdout, `"`+name+`": null`) {
			t.Errorf("%s is not null: %s", name, got.stdout)
		}
	}
	text := invoke(t, environ, "status")
	for _, line := range []string{"acceptances  unknown waiting (the oldest for unknown s), unknown of them",
		"outbox       unknown pending (the oldest for unknown s), unknown delivered, unknown dead, unknown skipped\n",
		"endpoints    unknown\n"} {
		if !strings.Contains(text.stdout, line) {
			t.Errorf("there is no %q in %s", line, text.stdout)
		}
	}
	if got.status != statusFailed || text.status != statusFailed {
		t.Errorf("exit status %d and %d", got.status, text.status)
	}
}

// A table that cannot be counted is named, and its figures are unknown.
func TestStatusThatCannotCount(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	relay := relaytest.Run(t, db)
	relay.AwaitRole(t, ready, "leader")
	relay.Kill()
	db.Exec(t, "alter table attendee_relay.settled rename column state to away")
	unknown(t, relaytest.Environ(db))
	if got := invoke(t, relaytest.Environ(db), "status"); !strings.Contains(got.stderr, "counting the outbox") {
		t.Errorf("%+v", got)
	}
}

// What listens on ADMIN_ADDR may be something else.
func TestStatusDoesNotTakeOthersForARelay(t *testing.T) {
	t.Parallel()
	other := relaytest.NewReceiver(t, func(relaytest.Webhook) int { return http.StatusOK })
	began := time.Now()
	if got := askLocal(t.Context(), strings.TrimPrefix(other.URL, "http://")); got != nil {
		t.Errorf("%+v", got)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}
