package delivery

import (
	"context"
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

	"attendee-relay/outbox"
)

func TestShutdownFinishesWhatIsInFlightAndRecordsIt(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server, requests := receiver(t, func(w http.ResponseWriter, _ *http.Request) { <-release })
	store := newMemoryStore(messages(server.URL, 20)...)
	r := run(t, store, newTestSender(t))
	for range 8 {
		receive(t, requests, "a request in flight")
	}
	stopped := make(chan struct{})
	go func() {
		r.stop()
		close(stopped)
	}()
	close(release)
	receive(t, stopped, "Run to return")
	delivered, untouched := 0, 0
	for id := range store.rows {
		switch row := store.row(id); {
		case row.state == outbox.StateDelivered && len(row.attempts) == 1:
			delivered++
		case row.state == outbox.StatePending && len(row.attempts) == 0:
			untouched++
		}
	}
	if delivered < 8 || delivered+untouched != 20 {
		t.Errorf("%d delivered, %d untouched", delivered, untouched)
	}
}

func TestShutdownInterruptsWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMessage("https://receiver.example/hook")
		store := newMemoryStore(m)
		begun := make(chan struct{})
		r := run(t, store, exchangeFunc(func(ctx context.Context, _ outbox.Message) Exchange {
			close(begun)
			<-ctx.Done()
			return failed(context.Cause(ctx), answering(), nil)
		}))
		<-begun
		start := time.Now()
		r.stop()
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("stopping took %v", took)
		}
		row := store.row(m.ID)
		if row.state != outbox.StatePending || len(row.attempts) != 1 ||
			!strings.HasPrefix(row.attempts[0].Error, "interrupted: ") {
			t.Errorf("%+v", row)
		}
	})
}

func TestAnOutcomeSurvivesAStoreThatIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newMemoryStore(messages("https://receiver.example/hook", 5)...)
		store.failSettles, store.failClaims = 20, 4
		sent := 0
		r := run(t, store, exchangeFunc(func(context.Context, outbox.Message) Exchange { sent++; return answer(200) }),
			func(c *Config) { c.Concurrency = 1 })
		for range 5 {
			<-store.settled
		}
		r.stop()
		for id := range store.rows {
			if row := store.row(id); row.state != outbox.StateDelivered || len(row.attempts) != 1 {
				t.Errorf("%+v", row)
			}
		}
		if sent != 5 {
			t.Errorf("5 messages were sent %d times", sent)
		}
		for what, want := range map[string]int{"claiming messages fails": 1, "claiming messages succeeds": 1,
			"recording outcomes fails": 1, "recording outcomes succeeds": 1} {
			n := 0
			for _, line := range r.logs.All() {
				if strings.HasPrefix(line.Message, what) {
					n++
				}
			}
			if n != want {
				t.Errorf("%q was logged %d times, want %d", what, n, want)
			}
		}
	})
}

func TestARunEndsThoughTheStoreNeverComesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newMemoryStore(messages("https://receiver.example/hook", 600)...)
		store.failSettles = 1 << 30
		r := run(t, store, exchangeFunc(func(context.Context, outbox.Message) Exchange { return answer(200) }),
			func(c *Config) { c.Concurrency, c.EndpointConcurrency = 16, 16 })
		synctest.Wait()
		start := time.Now()
		r.stop()
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("stopping took %v", took)
		}
		lost := r.logs.FilterMessageSnippet("were not recorded").Len()
		if lost == 0 {
			t.Error("nothing was logged about outcomes that were lost")
		}
		// While nothing can be recorded, what is sent is bounded: in flight, waiting, and in the batch being tried.
		if store.claimCalls > 100 {
			t.Errorf("%d claims", store.claimCalls)
		}
	})
}

func TestALateRefusalIsCountedAndNoError(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zapcore.DebugLevel)
	store := newMemoryStore(newMessage("https://receiver.example/hook"))
	m := newMessage("https://receiver.example/hook")
	m.Token = [16]byte{1}
	registry := prometheus.NewRegistry()
	s := settler{store: store, unrecorded: newUnrecorded(), leave: func(...outbox.Message) {},
		late: NewMetrics(registry).late, random: fixed(0.5), outage: outage{log: zap.New(core), what: "recording outcomes"}}
	results := make(chan outbox.Settlement, 2)
	results <- outbox.Settlement{Message: m, Outcome: outbox.RetryIn(time.Second, outbox.Attempt{})}
	results <- outbox.Settlement{Message: m, Outcome: outbox.Delivered(outbox.Attempt{})}
	close(results)
	s.run(t.Context(), results)
	if row := store.row(m.ID); store.refused != 1 || row.state != outbox.StateDelivered {
		t.Errorf("%d refused, %+v", store.refused, row)
	}
	if n := gathered(t, registry)["attendee_relay_late_outcomes_total"]; n != 1 {
		t.Errorf("%v are counted", n)
	}
	if logs.FilterMessageSnippet("refused").Len() != 1 {
		t.Errorf("%v", logs.All())
	}
}

// Messages sent while outcomes cannot be recorded would be sent again by others if this process died: sending stops,
// and only the requests in flight at that moment finish.
func TestNothingMoreIsSentWhileOutcomesCannotBeRecorded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newMemoryStore(messages("https://receiver.example/hook", 300)...)
		store.failSettles = 5
		sent, before := 0, 0
		var mu sync.Mutex
		r := run(t, store, exchangeFunc(func(context.Context, outbox.Message) Exchange {
			mu.Lock()
			sent++
			mu.Unlock()
			<-time.After(10 * time.Millisecond)
			return answer(200)
		}), func(c *Config) { c.Concurrency, c.EndpointConcurrency = 8, 8 })
		time.Sleep(3 * time.Second) // of the bubble's clock: the store is away for about six
		mu.Lock()
		before = sent
		mu.Unlock()
		if before == 0 || before > 3*8 {
			t.Errorf("%d were sent before the first outcome was recorded", before)
		}
		store.await(t, 300)
		r.stop()
	})
}
