package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

// brokenBy lists changes to the bookkeeping by the stage that each of them stops. The stage's fault names the missing
// column.
var brokenBy = map[string]struct{ do, undo, code string }{
	"capture": {"alter table attendee_relay.ledger rename column identity to away",
		"alter table attendee_relay.ledger rename column away to identity", "capture_failing"},
	"rendering": {"alter table attendee_relay.acceptance rename column empty_since to away",
		"alter table attendee_relay.acceptance rename column away to empty_since", "rendering_failing"},
	"delivery": {"alter table attendee_relay.exchange rename column duration_ms to away",
		"alter table attendee_relay.exchange rename column away to duration_ms", "delivery_failing"},
}

// watchedUntil asks /readyz until done. State fails the test on an answer without a reason, which no signal announces:
// so it asks every 5 ms, and does not ask ever more rarely as Await does.
func watchedUntil(t *testing.T, relay *relaytest.Relay, within time.Duration, what string,
	done func(relaytest.State) bool) {
	t.Helper()
	for began := time.Now(); ; {
		s := relay.State(t)
		if done(s) {
			return
		}
		if time.Since(began) > within {
			t.Fatalf("waited %v until the relay %s: %+v", within, what, s)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func shows(code string) func(relaytest.State) bool {
	return func(s relaytest.State) bool {
		return s.Status == http.StatusServiceUnavailable && s.Codes() == code &&
			strings.Contains(s.Faults[0].Message, "42703")
	}
}

func isReady(s relaytest.State) bool {
	return s.Status == http.StatusOK && s.Role == "leader" && len(s.Faults) == 0
}

// From the first failure of a stage to its fault, and from there until the relay is ready again, each 503 of /readyz
// has a reason.
func TestReadyzNeverSaysNoWithoutAReason(t *testing.T) {
	t.Parallel()
	for stage, c := range brokenBy {
		t.Run(stage, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			receiver := relaytest.NewReceiver(t, nil)
			event := relaytest.AddEvent(t, db, receiver.URL)
			relay := relaytest.Run(t, db, "OUTBOX_SETTLE=1s")
			relay.AwaitRole(t, ready, "leader")
			db.Exec(t, c.do)
			relaytest.Accept(t, db, event, 1)
			watchedUntil(t, relay, stopped, "shows "+c.code, shows(c.code))
			db.Exec(t, c.undo)
			watchedUntil(t, relay, stopped, "is ready", isReady)
			awaitState(t, db, "delivered", 1)
		})
	}
}

// A process that has never led shows at once why it does not lead, whatever the error.
func TestReadyzOfAStartSaysWhy(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	relay := relaytest.Run(t, db)
	relay.AwaitRole(t, ready, "leader")
	relay.Kill()
	db.Exec(t, "alter table attendee_relay.checkpoint rename column epoch to away")
	began := time.Now()
	relay = relaytest.Run(t, db)
	watchedUntil(t, relay, stopped, "shows capture_failing", shows("capture_failing"))
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("the reason was shown after %v", took)
	}
	db.Exec(t, "alter table attendee_relay.checkpoint rename column away to epoch")
	watchedUntil(t, relay, stopped, "is ready", isReady)
}

// A leader whose session with the server is ended continues within moments: that is not a fault. A server that goes
// away is one until it is back.
func TestReadyzWhileASessionIsLost(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, nil)
	db := pgtest.On(t, server)
	relay := relaytest.Run(t, db)
	relay.AwaitRole(t, ready, "leader")
	for range 3 {
		const reader = "select coalesce(active_pid, 0) from pg_replication_slots where slot_name = $1"
		ended := pgtest.Value[int](t, db, reader, db.Name())
		db.Exec(t, "select pg_terminate_backend($1)", ended)
		watchedUntil(t, relay, ready, "leads again", func(s relaytest.State) bool {
			if s.Status == http.StatusServiceUnavailable && s.Codes() != "database_unreachable" {
				t.Errorf("%+v", s)
			}
			now := pgtest.Value[int](t, db, reader, db.Name())
			return isReady(s) && now != 0 && now != ended
		})
	}
	if err := server.Crash(); err != nil {
		t.Fatal(err)
	}
	watchedUntil(t, relay, ready, "shows that the server is away", func(s relaytest.State) bool {
		return s.Codes() == "database_unreachable"
	})
	restart(t, server)
	watchedUntil(t, relay, ready, "is ready", isReady)
}
