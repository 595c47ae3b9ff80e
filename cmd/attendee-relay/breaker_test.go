package main

import (
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

// An endpoint that fails for long costs a few probes and no message; relays that start meanwhile know of it.
func TestAnEndpointThatFailsIsPausedAndDrainedSlowly(t *testing.T) {
	t.Parallel()
	const messages, failures = 60, 3
	var back atomic.Int64
	receiver := relaytest.NewReceiver(t, func(relaytest.Webhook) int {
		if back.Load() == 0 {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	})
	db := pgtest.New(t)
	event := relaytest.AddEvent(t, db, receiver.URL)
	// One retry each: messages that waited in vain would be dead soon.
	settings := []string{"DELIVERY_BREAKER_FAILURES=3", "DELIVERY_BREAKER_PROBE=300ms", "DELIVERY_RETRY_SCHEDULE=1h"}
	first := relaytest.Run(t, db, settings...)
	first.AwaitRole(t, ready, "leader")
	for n := range failures {
		relaytest.Accept(t, db, event, 1)
		receiver.Await(t, n+1, ready)
	}
	awaitEndpoint(t, db, "paused")
	relaytest.Accept(t, db, event, messages-failures)
	receiver.Await(t, failures+2, ready)
	first.Signal(t, syscall.SIGTERM)
	first.Exit(t, ready)
	before := len(receiver.Webhooks())
	second := relaytest.Run(t, db, settings...)
	second.AwaitRole(t, ready, "leader")
	probes := receiver.Await(t, before+2, ready)
	if state := endpointState(t, db); state != "paused" {
		t.Fatalf("the endpoint is %s", state)
	}
	// Each wait is twice as long as the one before, ± 20 %, and a poll's second late at most.
	for i := failures; i < len(probes); i++ {
		wait := 300 * time.Millisecond << (i - failures)
		if gap := probes[i].At.Sub(probes[i-1].At); gap < wait*7/10 {
			t.Errorf("probe %d came %v after the last request, the wait is %v", i-failures+1, gap, wait)
		}
		if probes[i].ID != probes[failures].ID {
			t.Errorf("probe %d sends another message than the first", i-failures+1)
		}
	}
	waiting := pgtest.Value[int](t, db, "select count(*)::int from attendee_relay.outbox where attempts = 0")
	if waiting < messages-failures {
		t.Errorf("only %d messages were left alone while the endpoint was paused", waiting)
	}

	back.Store(1)
	db.Exec(t, "update attendee_relay.endpoint set probe_at = now()")
	db.Exec(t, "update attendee_relay.pending set due_at = now() where retry") // those that failed first wait an hour
	awaitState(t, db, "delivered", messages)
	received := receiver.Webhooks()
	received = received[len(received)-messages:] // each was received once after the receiver was back
	at := func(n int) time.Duration { return received[n].At.Sub(received[0].At) }
	// Five a second at first, twice as many after five seconds; the bucket holds a second's worth.
	if at(20) < 1500*time.Millisecond || at(len(received)-1) < 4*time.Second {
		t.Errorf("it drained at once: 20 messages in %v, all in %v", at(20), at(len(received)-1))
	}
	dead := pgtest.Value[int](t, db, "select count(*)::int from attendee_relay.outbox where state = 'dead'")
	if dead != 0 {
		t.Errorf("%d messages are dead", dead)
	}
}

func TestAnEndpointThatIsGoneGetsNothingMore(t *testing.T) {
	t.Parallel()
	gone := relaytest.NewReceiver(t, func(relaytest.Webhook) int { return http.StatusGone })
	good := relaytest.NewReceiver(t, nil)
	db := pgtest.New(t)
	settings := []string{"DELIVERY_BREAKER_PROBE=100ms", "DELIVERY_RETRY_SCHEDULE=50ms"}
	first := relaytest.Run(t, db, settings...)
	first.AwaitRole(t, ready, "leader")
	event := relaytest.AddEvent(t, db, gone.URL)
	relaytest.Accept(t, db, event, 1)
	awaitEndpoint(t, db, "disabled")
	first.Signal(t, syscall.SIGTERM)
	first.Exit(t, ready)
	relaytest.Run(t, db, settings...).AwaitRole(t, ready, "leader")
	relaytest.Accept(t, db, event, 5)
	relaytest.Accept(t, db, relaytest.AddEvent(t, db, good.URL), 5)
	awaitState(t, db, "delivered", 5)
	awaitState(t, db, "pending", 6)
	if n := len(gone.Webhooks()); n != 1 {
		t.Errorf("%d requests to an endpoint that is gone", n)
	}
	s := readStatusOf(t, relaytest.Environ(db), statusDone)
	if len(s.Endpoints) != 1 || s.Endpoints[0].State != "disabled" || s.Endpoints[0].Pending != 6 {
		t.Errorf("status shows %+v", s.Endpoints)
	}
}

func awaitEndpoint(t *testing.T, db *pgtest.DB, want string) {
	t.Helper()
	pgtest.WaitUntil(t, ready, "the endpoint is "+want, func() (bool, string) {
		state := endpointState(t, db)
		return state == want, state
	})
}

func endpointState(t *testing.T, db *pgtest.DB) string {
	t.Helper()
	return pgtest.Value[string](t, db,
		"select coalesce(min(state), 'none') from attendee_relay.endpoint where failures > 0 or state <> 'active'")
}
