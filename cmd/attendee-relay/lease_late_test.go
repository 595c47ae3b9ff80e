package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

// The other relay has delivered when the frozen one wakes up and records its answers: none counts any more.
func TestLeaseThatEndedBeforeAnOutcomeAndTheMessageIsDelivered(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusOK, http.StatusInternalServerError} {
		t.Run(fmt.Sprint("with a late ", status), func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int64
			receiver := relaytest.NewReceiver(t, func(relaytest.Webhook) int {
				if requests.Add(1) <= leaseMessages {
					return status
				}
				return http.StatusOK
			})
			db := pgtest.New(t)
			event := relaytest.AddEvent(t, db, receiver.URL)
			first := frozenBeforeRecording(t, db, event, status)
			takeOver(t, db, receiver, leaseTimeout)
			awaitState(t, db, "delivered", leaseMessages)
			wake(t, db, first, receiver, event)
		})
	}
}

// The other relay still waits for its answers when the frozen one wakes up and records its own. A late failure leaves
// the message to the relay that holds it now. A late 2xx counts as the delivery, and then the other relay's failure is
// late.
func TestLeaseThatEndedBeforeAnOutcomeAndAnotherHasTheMessage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ late, other, lateOfFirst, lateOfSecond int }{
		{http.StatusInternalServerError, http.StatusOK, leaseMessages, 0},
		{http.StatusOK, http.StatusInternalServerError, 0, leaseMessages},
	} {
		t.Run(fmt.Sprintf("with a late %d and then a %d", c.late, c.other), func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int64
			answer := make(chan struct{})
			answerAll := sync.OnceFunc(func() { close(answer) })
			receiver := relaytest.NewReceiver(t, func(relaytest.Webhook) int {
				if requests.Add(1) <= leaseMessages {
					return c.late
				}
				<-answer
				return c.other
			})
			t.Cleanup(answerAll)
			db := pgtest.New(t)
			event := relaytest.AddEvent(t, db, receiver.URL)
			first := frozenBeforeRecording(t, db, event, c.late)
			second := takeOver(t, db, receiver, "DELIVERY_TIMEOUT=1m") // its requests wait until the test has looked

			first.Signal(t, syscall.SIGCONT)
			if c.late == http.StatusOK {
				awaitState(t, db, "delivered", leaseMessages)
			}
			awaitMetric(t, first, fmt.Sprint("attendee_relay_late_outcomes_total ", c.lateOfFirst))
			if c.late != http.StatusOK {
				awaitState(t, db, "pending", leaseMessages)
			}
			answerAll()
			awaitMetric(t, second, fmt.Sprint("attendee_relay_late_outcomes_total ", c.lateOfSecond))
			awaitState(t, db, "delivered", leaseMessages)
			rows := pgtest.Values[string](t, db, "select format('%s %s', attempts, last_status) from attendee_relay.outbox")
			if len(slices.Compact(rows)) != 1 || rows[0] != "1 200" {
				t.Errorf("attempts and status of the messages: %q", rows)
			}
			if n := len(receiver.Webhooks()); n != 2*leaseMessages {
				t.Errorf("%d requests for %d messages", n, leaseMessages)
			}
		})
	}
}

// frozenBeforeRecording runs a relay whose requests are answered in time with that status. The relay is frozen before
// it has recorded the answers, and its session is ended; when it wakes up it tries again.
func frozenBeforeRecording(t *testing.T, db *pgtest.DB, event int64, status int) *relaytest.Relay {
	t.Helper()
	outcome := "delivered"
	if status != http.StatusOK {
		outcome = "retried"
	}
	relay := relaytest.Run(t, db, leaseTimeout)
	relay.AwaitRole(t, ready, "leader")
	let := holdOutcomes(t, db)
	relaytest.Accept(t, db, event, leaseMessages)
	awaitMetric(t, relay, fmt.Sprintf(`attendee_relay_delivery_attempts_total{outcome="%s"} %d`, outcome, leaseMessages))
	awaitWaiters(t, db, "relation", func() {})
	relay.Freeze(t)
	endWaiters(t, db)
	let()
	if attempts := pgtest.Value[int](t, db, "select count(*)::int from attendee_relay.attempt"); attempts != 0 {
		t.Fatalf("%d outcomes were recorded", attempts)
	}
	return relay
}

// holdOutcomes keeps relays from recording outcomes until let is called; claiming goes on.
func holdOutcomes(t *testing.T, db *pgtest.DB) (let func()) {
	t.Helper()
	lock, err := db.Pool(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lock.Rollback(context.Background()) })
	if _, err := lock.Exec(t.Context(), "lock table attendee_relay.exchange in share mode"); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := lock.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// endWaiters ends the sessions that wait for a table, and returns when they have gone.
func endWaiters(t *testing.T, db *pgtest.DB) {
	t.Helper()
	pgtest.WaitUntil(t, ready, "no session waits for a table", func() (bool, string) {
		ended := pgtest.Values[bool](t, db, "select pg_terminate_backend(pid) from pg_stat_activity where datname = "+
			"current_database() and wait_event = 'relation'")
		return len(ended) == 0, fmt.Sprint(ended)
	})
}

// awaitMetric waits until /metrics has a line.
func awaitMetric(t *testing.T, relay *relaytest.Relay, line string) {
	t.Helper()
	name, _, _ := strings.Cut(line, " ")
	pgtest.WaitUntil(t, ready, "the relay's metrics have "+line, func() (bool, string) {
		_, text := relay.Get(t, "/metrics")
		var is string
		for l := range strings.Lines(text) {
			if strings.HasPrefix(l, name) {
				is = strings.TrimSpace(l)
			}
		}
		return is == line, is
	})
}
