package delivery

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"attendee-relay/internal/relaytest"
	"attendee-relay/outbox"
)

// flight counts requests in flight, over all and by endpoint, and the most there ever were.
type flight struct {
	mu         sync.Mutex
	now        map[uuid.UUID]int
	total      int
	most, peak int
}

func (f *flight) during(endpoint uuid.UUID, work func()) {
	f.mu.Lock()
	if f.now == nil {
		f.now = map[uuid.UUID]int{}
	}
	f.now[endpoint]++
	f.total++
	f.most, f.peak = max(f.most, f.now[endpoint]), max(f.peak, f.total)
	f.mu.Unlock()
	work()
	f.mu.Lock()
	f.now[endpoint]--
	f.total--
	f.mu.Unlock()
}

func TestAHangingEndpointKeepsItsShareWhileAnotherFlows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hanging, healthy := messages("https://hanging.example", 500), messages("https://healthy.example", 500)
		store := newMemoryStore(append(hanging, healthy...)...)
		var inFlight flight
		start := time.Now()
		var last time.Duration
		r := run(t, store, exchangeFunc(func(ctx context.Context, m outbox.Message) Exchange {
			var x Exchange
			inFlight.during(m.Endpoint, func() {
				if m.Endpoint == hanging[0].Endpoint {
					<-time.After(15 * time.Second)
					x = failed(errTimeout, answering(), nil)
					return
				}
				x = answersAfter(20*time.Millisecond)(ctx, m)
			})
			return x
		}), func(c *Config) { c.Concurrency = 16 })
		for delivered := 0; delivered < len(healthy); {
			if id := <-store.settled; store.row(id).state == outbox.StateDelivered {
				delivered++
			}
			last = time.Since(start)
		}
		r.stop()
		// The one that hangs gets no more places once they are scarce.
		if inFlight.most != 8 || inFlight.peak < 8+1 || inFlight.peak > 16 {
			t.Errorf("%d in flight to one endpoint, %d in all", inFlight.most, inFlight.peak)
		}
		// 500 messages of 20 ms, 8 at a time, take 1.25 s; what claiming in batches adds is little.
		if last > 1750*time.Millisecond {
			t.Errorf("the healthy endpoint took %v", last)
		}
	})
}

func TestAnEndpointGetsNoMoreThanItsRate(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rate     float64
		messages int
		seconds  int
		least    int
	}{
		"one in two seconds": {0.5, 20, 20, 6},
		"five a second":      {5, 100, 10, 40},
		"fifty a second":     {50, 500, 5, 100},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := newMemoryStore(messages("https://receiver.example", c.messages)...)
				var mu sync.Mutex
				var sent []time.Time
				r := run(t, store, exchangeFunc(func(context.Context, outbox.Message) Exchange {
					mu.Lock()
					defer mu.Unlock()
					sent = append(sent, time.Now())
					return answer(200)
				}), func(cfg *Config) { cfg.EndpointRate = c.rate })
				time.Sleep(time.Duration(c.seconds) * time.Second) // of the bubble's clock
				r.stop()
				most := int(c.rate*float64(c.seconds)) + max(1, int(c.rate)) // and the bucket it begins with
				if len(sent) > most || len(sent) < c.least {
					t.Errorf("%d requests in %d s, want %d to %d", len(sent), c.seconds, c.least, most)
				}
				if r.logs.FilterMessageSnippet("were given back").Len() != 0 {
					t.Error("messages were claimed that could not be sent")
				}
			})
		})
	}
}

func TestPaceForgetsEndpointsThatRested(t *testing.T) {
	t.Parallel()
	p := newPace(2)
	for range 1000 {
		p.spend(&outbox.Message{Endpoint: uuid.New()}, noon)
	}
	busy := map[uuid.UUID]int{}
	p.hold(busy, nil, 8, noon)
	if len(p.buckets) != 1000 || len(busy) != 1000 {
		t.Errorf("%d buckets, %d held back", len(p.buckets), len(busy))
	}
	busy = map[uuid.UUID]int{}
	p.hold(busy, nil, 8, noon.Add(time.Second))
	if len(p.buckets) != 0 || len(busy) != 0 {
		t.Errorf("%d buckets, %d held back", len(p.buckets), len(busy))
	}
}

func TestABacklogIsClaimedInBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const endpoints, each = 50, 200
		store := newMemoryStore()
		for i := range endpoints {
			store.add(messages("https://receiver.example/"+string(rune('A'+i)), each)...)
		}
		start := time.Now()
		r := run(t, store, exchangeFunc(func(context.Context, outbox.Message) Exchange {
			<-time.After(20 * time.Millisecond)
			return answer(200)
		}))
		for range endpoints * each {
			<-store.settled
		}
		took := time.Since(start)
		r.stop()
		// 256 at a time of 20 ms each: 0.78 s would be without any pause between them.
		if perClaim := endpoints * each / store.claimCalls; perClaim < 30 || took > 1200*time.Millisecond {
			t.Errorf("%d messages a claim, %v for all", perClaim, took)
		}
	})
}

func TestAnIdleDispatcherOnlyPolls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newMemoryStore(messages("https://receiver.example", 3)...)
		r := run(t, store, exchangeFunc(func(context.Context, outbox.Message) Exchange { return answer(200) }))
		time.Sleep(time.Minute) // of the bubble's clock
		r.stop()
		if store.claimCalls < 59 || store.claimCalls > 63 {
			t.Errorf("%d claims in a minute", store.claimCalls)
		}
	})
}

// Half of the endpoints have answered well and fall silent at the same moment, as when many URLs belong to one
// provider: those that continue to answer still get the places that they need.
func TestEndpointsThatFallSilentTogetherAreInNobodysWay(t *testing.T) {
	t.Parallel()
	const endpoints, took, seconds = 100, 20 * time.Millisecond, 12
	rates := []int{20, 50, 90}
	if relaytest.Racing() {
		rates = rates[:1] // a hundred thousand messages of the others take minutes
	}
	for _, everySecond := range rates {
		t.Run(fmt.Sprint(everySecond), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				url := func(i int) string { return fmt.Sprintf("https://r%d.example/hook", i) }
				silent := map[uuid.UUID]bool{}
				for i := range endpoints / 2 {
					silent[newMessage(url(i)).Endpoint] = true
				}
				start := time.Now()
				const quiet = 2 * time.Second // as long as all answer
				var answered [seconds + 20]atomic.Int64
				store := newMemoryStore()
				store.settled = make(chan string, endpoints*everySecond*seconds)
				r := run(t, store, exchangeFunc(func(_ context.Context, m outbox.Message) Exchange {
					if silent[m.Endpoint] && time.Since(start) > quiet {
						time.Sleep(15 * time.Second)
						return failed(errTimeout, answering(), nil)
					}
					x := answersAfter(took)(t.Context(), m)
					if !silent[m.Endpoint] {
						answered[time.Since(start)/time.Second].Add(1)
					}
					return x
				}), small(256, 8))
				synctest.Wait()
				for i := range endpoints {
					known(r, url(i), took)
				}
				for n := range seconds * 10 {
					for i := range endpoints {
						list := messages(url(i), everySecond/10)
						for j := range list {
							list[j].ID = fmt.Sprint("msg_", i, "_", n, "_", j)
						}
						if handed := handKnown(r, store, list...); handed < len(list) {
							store.add(list[handed:]...)
						}
					}
					r.Nudge()
					time.Sleep(100 * time.Millisecond)
				}
				for second := 1; second < seconds; second++ {
					if n := int(answered[second].Load()); n < endpoints/2*everySecond*8/10 {
						t.Errorf("in second %d the endpoints that answer got %d of %d messages", second, n, endpoints/2*everySecond)
					}
				}
				time.Sleep(time.Minute)
				r.stop()
			})
		})
	}
}
