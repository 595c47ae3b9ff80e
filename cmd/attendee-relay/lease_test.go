package main

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

const (
	// leaseMessages are leased by a relay that is frozen then; leaseTimeout makes the lease 15 s + 2 · 2 s.
	leaseMessages = 3
	leaseTimeout  = "DELIVERY_TIMEOUT=2s"
)

// The answers to a frozen relay's requests arrive, and nobody reads them. When it wakes up, its timeout is over as
// well: the scheduler decides whether it finds a late 2xx or a timeout. Both come after the lease, when the other relay
// has delivered, so both are refused and counted, and change nothing.
func TestLeaseOfARelayFrozenInFlight(t *testing.T) {
	t.Parallel()
	var requests atomic.Int64
	answer := make(chan struct{})
	answerAll := sync.OnceFunc(func() { close(answer) })
	receiver := relaytest.NewReceiver(t, func(relaytest.Webhook) int {
		if requests.Add(1) <= leaseMessages {
			<-answer
		}
		return http.StatusOK
	})
	t.Cleanup(answerAll)
	db := pgtest.New(t)
	event := relaytest.AddEvent(t, db, receiver.URL)
	first := relaytest.Run(t, db, leaseTimeout)
	first.AwaitRole(t, ready, "leader")
	relaytest.Accept(t, db, event, leaseMessages)
	receiver.Await(t, leaseMessages, ready)
	first.Freeze(t)

	takeOver(t, db, receiver, leaseTimeout)
	awaitState(t, db, "delivered", leaseMessages)
	answerAll()
	wake(t, db, first, receiver, event)
}

// takeOver starts another relay and checks that it sends each message again once, unchanged, when the lease is over and
// not before. It returns that relay.
func takeOver(t *testing.T, db *pgtest.DB, receiver *relaytest.Receiver, settings ...string) *relaytest.Relay {
	t.Helper()
	leases := map[string]time.Time{}
	for _, id := range pgtest.Values[string](t, db,
		"select message_id from attendee_relay.outbox where state = 'pending' and attempts = 0") {
		leases[id] = pgtest.Value[time.Time](t, db, "select next_attempt_at from attendee_relay.outbox where message_id = $1",
			id)
	}
	if len(leases) != leaseMessages {
		t.Fatalf("%d messages are under a lease", len(leases))
	}
	second := relaytest.Run(t, db, settings...)
	all := receiver.Await(t, 2*leaseMessages, 3*ready)
	for _, again := range all[leaseMessages:] {
		before := slices.IndexFunc(all[:leaseMessages], func(w relaytest.Webhook) bool { return w.ID == again.ID })
		if before < 0 || all[before].Body != again.Body || again.Verified != nil {
			t.Errorf("it was not sent before: %+v", again)
		}
		// The receiver's clock is the database's: both are on this machine.
		if ends, known := leases[again.ID]; !known || again.At.Before(ends) {
			t.Errorf("sent again at %v, the lease ends at %v", again.At, ends)
		}
		delete(leases, again.ID)
	}
	if len(leases) != 0 {
		t.Errorf("%d messages were not sent again", len(leases))
	}
	return second
}

// wake resumes the frozen relay and checks that its outcomes are refused, counted by itself, and have no effect.
func wake(t *testing.T, db *pgtest.DB, first *relaytest.Relay, receiver *relaytest.Receiver, event int64) {
	t.Helper()
	const rows = "select format('%s %s %s %s', message_id, state, attempts, delivered_at) from attendee_relay.outbox " +
		"order by 1"
	before := pgtest.Values[string](t, db, rows)
	first.Signal(t, syscall.SIGCONT)
	awaitMetric(t, first, fmt.Sprint("attendee_relay_late_outcomes_total ", leaseMessages))
	first.AwaitRole(t, ready, "standby")
	if after := pgtest.Values[string](t, db, rows); !slices.Equal(before, after) {
		t.Errorf("the messages were\n%q and are\n%q", before, after)
	}
	attempts := pgtest.Value[int](t, db, "select count(*)::int from attendee_relay.attempt")
	if attempts != leaseMessages {
		t.Errorf("%d attempts are recorded", attempts)
	}
	relaytest.Accept(t, db, event, 1)
	awaitState(t, db, "delivered", leaseMessages+1)
	if n := len(receiver.Webhooks()); n != 2*leaseMessages+1 {
		t.Errorf("%d requests for %d messages that were sent twice and one that was not", n, leaseMessages)
	}
}
