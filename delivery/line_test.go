package delivery

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"attendee-relay/internal/fault"
	"attendee-relay/outbox"
)

const (
	busyURL = "https://busy.example/hook"
	newURL  = "https://new.example/hook"
)

func small(total, perEndpoint int) func(*Config) {
	return func(c *Config) { c.Concurrency, c.EndpointConcurrency = total, perEndpoint }
}

// answersAfter answers with 200 after a while of the bubble's clock.
func answersAfter(d time.Duration) exchangeFunc {
	return func(context.Context, outbox.Message) Exchange {
		time.Sleep(d)
		x := answer(200)
		x.Attempt.Duration = d
		return x
	}
}

// runBusy runs a Dispatcher that has claimed what there is, nothing, and knows how long busyURL takes to answer.
func runBusy(t *testing.T, sender exchanger, took time.Duration, change func(*Config)) (*memoryStore, *running) {
	t.Helper()
	store := newMemoryStore()
	r := run(t, store, sender, change)
	synctest.Wait()
	known(r, busyURL, took)
	return store, r
}

// known has an endpoint answer once, so that it is known how long that takes.
func known(r *running, url string, took time.Duration) {
	m := newMessage(url)
	r.gate.judge(m.Endpoint, true, took)
}

// What a transaction writes beyond the places waits in line and is sent one after the other, without a claim.
func TestWhatIsHandedOverWaitsInLine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, r := runBusy(t, answersAfter(10*time.Millisecond), 10*time.Millisecond, small(4, 2))
		list := messages(busyURL, 60)
		start := time.Now()
		if n := handKnown(r, store, list...); n != 60 {
			t.Fatalf("%d of 60 are handed over", n)
		}
		store.await(t, 60)
		if took := time.Since(start); took != 300*time.Millisecond {
			t.Errorf("60 messages, two at a time of 10 ms each, took %v", took)
		}
		r.stop()
		if store.claimCalls != 1 || len(r.gate.lanes) != 0 || r.gate.line.waiting != 0 || r.gate.line.bytes != 0 ||
			r.gate.line.rooms != 0 {
			t.Errorf("%d claims, want the one of the start; left: %+v", store.claimCalls, r.gate.line)
		}
	})
}

// handKnown is hand for endpoints whose answers are known.
func handKnown(r *running, store *memoryStore, list ...outbox.Message) int {
	return handReserved(r.Senders().Reserve(endpointsOf(list)), store, list...)
}

// No more waits than is sent soon: nothing for an endpoint that is slow.
func TestTheLineIsAsLongAsWhatIsSentSoon(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		took time.Duration
		want int
	}{
		{"quick", 10 * time.Millisecond, 2 + 100},
		{"slower", 100 * time.Millisecond, 2 + 10},
		{"slow", time.Second, 2},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store, r := runBusy(t, answersAfter(c.took), c.took, small(64, 2))
				if got := handKnown(r, store, messages(busyURL, 1000)...); got != c.want {
					t.Errorf("%d are handed over, want %d", got, c.want)
				}
				r.stop()
			})
		})
	}
}

// The first message to an endpoint nobody knows does not wait until the backlogs of others are through.
func TestANewEndpointHasItsTurnBesideABacklog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newMemoryStore(messages(busyURL, 2000)...)
		r := run(t, store, answersAfter(10*time.Millisecond), small(2, 2))
		time.Sleep(time.Second)
		fresh := newMessage(newURL)
		fresh.Standing.Trial = true
		store.add(fresh)
		r.Nudge()
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if state := store.row(fresh.ID).state; state != outbox.StateDelivered {
			t.Errorf("after 100 ms it is %s", state)
		}
		r.stop()
	})
}

// After a failure nothing that stands in line is sent to the endpoint: it is given back, for the endpoint gets one at a
// time now.
func TestAFailureEmptiesTheEndpointsLine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var failing atomic.Bool
		var sent atomic.Int32
		store, r := runBusy(t, exchangeFunc(func(ctx context.Context, m outbox.Message) Exchange {
			sent.Add(1)
			if failing.Load() {
				return failed(errTimeout, answering(), nil)
			}
			return answersAfter(10*time.Millisecond)(ctx, m)
		}), 10*time.Millisecond, small(4, 2))
		known(r, newURL, 10*time.Millisecond)
		failing.Store(true)
		store.failClaims = 1000 // nothing is claimed again meanwhile
		handKnown(r, store, messages(busyURL, 50)...)
		synctest.Wait()
		if sent.Load() > 2 || r.gate.line.waiting != 0 {
			t.Errorf("%d were sent, %d wait", sent.Load(), r.gate.line.waiting)
		}
		time.Sleep(2 * time.Second)
		free := 0
		for id := range store.rows {
			if row := store.row(id); row.token == uuid.Nil {
				free++
			}
		}
		if free < 48 {
			t.Errorf("%d of the 50 are free for a claim", free)
		}
		r.stop()
	})
}

// What stands in line when the relay stops is given back, not sent, and does not hold it up.
func TestShutdownGivesTheLineBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, r := runBusy(t, answersAfter(10*time.Millisecond), 10*time.Millisecond, small(4, 2))
		list := messages(busyURL, 80)
		handKnown(r, store, list...)
		start := time.Now()
		r.stop()
		delivered, free := 0, 0
		for _, m := range list {
			switch row := store.row(m.ID); {
			case row.state == outbox.StateDelivered:
				delivered++
			case row.token == uuid.Nil:
				free++
			}
		}
		if took := time.Since(start); delivered != 2 || free != 78 || took > 20*time.Millisecond {
			t.Errorf("%d delivered, %d given back after %v", delivered, free, took)
		}
	})
}

// While outcomes cannot be recorded, what stands in line is not sent: it would be sent again if the process died.
func TestTheLineStandsStillWhileNothingCanBeRecorded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sent atomic.Int32
		slow := answersAfter(100 * time.Millisecond)
		counting := exchangeFunc(func(ctx context.Context, m outbox.Message) Exchange { sent.Add(1); return slow(ctx, m) })
		store, r := runBusy(t, counting, 10*time.Millisecond, small(2, 2))
		store.failSettles = 1 << 30
		handKnown(r, store, messages(busyURL, 50)...)
		time.Sleep(10 * time.Second)
		if sent.Load() > 6 {
			t.Errorf("%d were sent", sent.Load())
		}
		store.mu.Lock()
		store.failSettles = 0
		store.mu.Unlock()
		r.stop()
	})
}

// A message whose turn comes too late for a whole request within its lease is given back.
func TestATurnThatComesTooLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, r := runBusy(t, answersAfter(3*time.Second), time.Millisecond, small(1, 1)) // it was quick once
		list := messages(busyURL, 20)
		handKnown(r, store, list...)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		for _, m := range list {
			if row := store.row(m.ID); row.state != outbox.StateDelivered || len(row.attempts) != 1 {
				t.Errorf("%s is %s after %d attempts", m.ID, row.state, len(row.attempts))
			}
		}
		if store.refused != 0 {
			t.Errorf("%d outcomes came after their lease", store.refused)
		}
		r.stop()
	})
}

// A message may be sent and answered before its reservation is given back.
func TestAReservationThatIsUsedUp(t *testing.T) {
	t.Parallel()
	r := newHandover(newGate(4, 2), time.Minute, func() bool { return false }, func(...outbox.Message) {})
	m := newMessage(busyURL)
	r.gate.judge(m.Endpoint, true, time.Millisecond)
	r.begin(func(m outbox.Message) { r.gate.release(&m, time.Now(), true) }, func() {})
	reservation := r.Reserve([]uuid.UUID{m.Endpoint})
	reservation.Send([]outbox.Message{m})
	if len(r.gate.lanes) != 0 || r.gate.flying != 0 {
		t.Errorf("%d in flight, lanes %v", r.gate.flying, r.gate.lanes)
	}
}

// The place of a message that comes too late goes to the next in line.
func TestAPlaceThatIsNotUsedGoesToTheNextInLine(t *testing.T) {
	t.Parallel()
	d := NewDispatcher(testConfig(small(1, 1)), time.Second, newMemoryStore(), nil, NewMetrics(prometheus.NewRegistry()),
		fault.NewBoard(), zap.NewNop())
	late, next := newMessage(busyURL), newMessage(newURL)
	late.LeaseEnds = time.Now()
	if started := d.gate.take(&late, time.Now()); !started || d.gate.take(&next, time.Now()) {
		t.Fatal("there is one place, for the first")
	}
	var sent []string
	d.inTime(func(m outbox.Message) { sent = append(sent, m.URL) })(late)
	if len(sent) != 1 || sent[0] != newURL {
		t.Errorf("sent: %v", sent)
	}
}
