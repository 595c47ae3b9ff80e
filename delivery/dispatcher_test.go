package delivery

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/secret"
	"attendee-relay/outbox"
)

// exchangeFunc stands in for a Sender where a test plays with time.
type exchangeFunc func(ctx context.Context, m outbox.Message) Exchange

func (f exchangeFunc) Send(ctx context.Context, m outbox.Message) Exchange { return f(ctx, m) }
func (exchangeFunc) CloseIdleConnections()                                 {}

// running is a Dispatcher at work; stop ends it and waits until it has.
type running struct {
	*Dispatcher
	board    *fault.Board
	logs     *observer.ObservedLogs
	registry *prometheus.Registry
	stop     func()
}

func run(t testing.TB, store Store, sender exchanger, change ...func(*Config)) *running {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	registry := prometheus.NewRegistry()
	board := fault.NewBoardWith(time.Second, time.Now)
	d := NewDispatcher(testConfig(change...), 30*time.Second, store, sender, NewMetrics(registry), board, zap.New(core))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return &running{d, board, logs, registry, stop}
}

func messages(url string, n int) []outbox.Message {
	list := make([]outbox.Message, n)
	for i := range list {
		list[i] = newMessage(url)
		list[i].ID = fmt.Sprintf("msg_%s_%d", list[i].Endpoint.String()[:8], i)
	}
	return list
}

func TestMessagesAreDeliveredAndRecorded(t *testing.T) {
	t.Parallel()
	server, requests := receiver(t, status(204))
	store := newMemoryStore(messages(server.URL, 100)...)
	r := run(t, store, newTestSender(t))
	store.await(t, 100)
	// A nudge is enough for what comes later.
	late := newMessage(server.URL)
	store.add(late)
	r.Nudge()
	store.await(t, 1)
	r.stop()

	if n := len(requests); n != 101 {
		t.Errorf("%d requests for 101 messages", n)
	}
	for id := range store.rows {
		row := store.row(id)
		if row.state != outbox.StateDelivered || len(row.attempts) != 1 || row.attempts[0].Status != 204 {
			t.Errorf("%+v", row)
		}
	}
}

func TestANudgeIsNotKeptWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newMemoryStore()
		r := run(t, store, exchangeFunc(func(context.Context, outbox.Message) Exchange { return answer(200) }))
		for i := range 10 {
			synctest.Wait() // it waits for a poll
			start := time.Now()
			m := newMessage("https://receiver.example/hook")
			m.ID = fmt.Sprintf("msg_%d", i)
			store.add(m)
			r.Nudge()
			r.Nudge()
			<-store.settled
			if took := time.Since(start); took != 0 {
				t.Errorf("message %d: delivered %v after its nudge", i, took)
			}
		}
		r.stop()
		if got := gathered(t, r.registry)["attendee_relay_delivery_attempts_total delivered"]; got != 10 {
			t.Errorf("%v deliveries counted", got)
		}
	})
}

func TestAMessageIsRetriedByTheScheduleAndThenDead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMessage("https://receiver.example/hook")
		store := newMemoryStore(m)
		start := time.Now()
		var at []time.Duration
		r := run(t, store, exchangeFunc(func(_ context.Context, got outbox.Message) Exchange {
			if got.ID != m.ID || string(got.Payload) != string(m.Payload) || got.Attempts != len(at) {
				t.Errorf("attempt %d sends %+v", len(at)+1, got)
			}
			at = append(at, time.Since(start))
			return answer(500)
		}))
		for range 4 {
			<-store.settled
		}
		r.stop()
		row := store.row(m.ID)
		if row.state != outbox.StateDead || len(row.attempts) != 4 ||
			row.attempts[3].Error != "server_error: status 500, the receiver failed" {
			t.Errorf("%+v", row)
		}
		for i, step := range testConfig().RetrySchedule {
			// The poll adds up to a second of its own.
			if wait := at[i+1] - at[i]; wait < step*8/10 || wait > step*12/10+2*pollInterval {
				t.Errorf("attempt %d came %v after the one before, the step is %v", i+2, wait, step)
			}
		}
	})
}

func TestAMessageIsNotBegunWithoutAWholeTimeoutOnItsLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMessage("https://receiver.example/hook")
		store := newMemoryStore(m)
		var left time.Duration
		// The first claim takes so long that only 14 s of the lease are left, and a request may take 15 s.
		slow := &slowClaims{memoryStore: store, first: testConfig().Lease() - 14*time.Second}
		r := run(t, slow, exchangeFunc(func(_ context.Context,
			m outbox.Message) Exchange {
			left = time.Until(m.LeaseEnds)
			return answer(200)
		}))
		<-store.settled
		r.stop()
		if left < testConfig().Timeout+recording {
			t.Errorf("begun %v before the end of its lease", left)
		}
		if r.logs.FilterMessageSnippet("were given back").Len() != 1 || store.claimCalls < 2 {
			t.Errorf("the message was not given back and claimed again: %d claims", store.claimCalls)
		}
	})
}

// If the process stands still after a message was found timely, nothing is sent once its lease is about to end. That is
// not a failure of the endpoint.
func TestNoRequestIsBegunAtTheEndOfItsLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMessage("https://receiver.example/hook")
		store := newMemoryStore(m)
		var lease, request time.Time
		r := run(t, store, exchangeFunc(func(ctx context.Context, m outbox.Message) Exchange {
			lease = m.LeaseEnds
			request, _ = ctx.Deadline()
			select {
			case <-ctx.Done():
				return failed(context.Cause(ctx), &progress{}, nil)
			case <-time.After(testConfig().Lease()):
				return answer(200)
			}
		}))
		<-store.settled
		r.stop()
		row := store.rows[m.ID]
		if !request.Equal(lease.Add(-recording)) || !strings.HasPrefix(row.attempts[0].Error, string(reasonInterrupted)) {
			t.Errorf("the request may last until %v, the lease until %v; it ends with %+v", request, lease, row)
		}
	})
}

// slowClaims lets the first answer travel for a while.
type slowClaims struct {
	*memoryStore
	first time.Duration
}

func (s *slowClaims) Claim(ctx context.Context, req outbox.ClaimRequest) ([]outbox.Message, error) {
	messages, err := s.memoryStore.Claim(ctx, req)
	time.Sleep(s.first) // of the bubble's clock
	s.first = 0
	return messages, err
}

func TestNeitherLogNorRecordShowsURLBodyOrSecret(t *testing.T) {
	t.Parallel()
	const hidden = "hunter2"
	server, _ := receiver(t, status(200))
	failing, _ := receiver(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	var all []outbox.Message
	for i, base := range []string{server.URL, failing.URL, "http://10.0.0.1", "https://" + hidden + ":x@127.0.0.1",
		"http://" + hidden + ".invalid",
		"nonsense " + hidden, "http://127.0.0.1:1"} {
		m := newMessage(base + "/" + hidden + "?token=" + hidden)
		m.ID = fmt.Sprintf("msg_%d", i)
		m.Secret, m.Payload = secret.New(hidden), []byte(`{"email":"`+hidden+`"}`)
		all = append(all, m)
	}
	bad := newMessage(server.URL)
	bad.ID, bad.Secret = "msg_bad", secret.New("whsec_"+hidden)
	all = append(all, bad)
	store := newMemoryStore(all...)
	r := run(t, store, newTestSender(t), func(c *Config) { c.RetrySchedule = []time.Duration{time.Hour} })
	store.await(t, len(all))
	r.stop()

	attempts := r.logs.FilterMessage("attempt").All()
	if len(attempts) != len(all) {
		t.Errorf("%d lines for %d attempts", len(attempts), len(all))
	}
	for _, line := range r.logs.All() {
		encoded, err := json.Marshal(line.ContextMap())
		if err != nil {
			t.Fatal(err)
		}
		if shown := line.Message + string(encoded); strings.Contains(shown, hidden) || strings.Contains(shown, "127.0.0.1") {
			t.Errorf("a log line shows it: %s", shown)
		}
		for _, key := range []string{"message_id", "endpoint", "attempt", "status", "duration", "outcome", "reason"} {
			if _, there := line.ContextMap()[key]; line.Message == "attempt" && !there {
				t.Errorf("no %s in %s", key, encoded)
			}
		}
	}
	for id := range store.rows {
		for _, a := range store.row(id).attempts {
			if strings.Contains(fmt.Sprintf("%+v", a), hidden) {
				t.Errorf("an attempt shows it: %+v", a)
			}
		}
	}
}
