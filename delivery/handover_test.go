package delivery

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"attendee-relay/outbox"
)

// slowAnswer is so slow that nothing may wait in line for the next one.
const slowAnswer = 10 * time.Second

// reserve reserves a place for each message, to endpoints that have answered.
func reserve(d *Dispatcher, list ...outbox.Message) outbox.Reservation {
	endpoints := endpointsOf(list)
	for _, endpoint := range endpoints {
		d.gate.judge(endpoint, true, slowAnswer)
	}
	return d.Senders().Reserve(endpoints)
}

func endpointsOf(list []outbox.Message) []uuid.UUID {
	endpoints := make([]uuid.UUID, len(list))
	for i := range list {
		endpoints[i] = list[i].Endpoint
	}
	return endpoints
}

// hand reserves places for new messages, leases those that got one and sends them; it returns how many did.
func hand(d *Dispatcher, store *memoryStore, list ...outbox.Message) int {
	return handReserved(reserve(d, list...), store, list...)
}

func handReserved(reservation outbox.Reservation, store *memoryStore, list ...outbox.Message) int {
	reserved, lease := reservation.Reserved()
	var sent []outbox.Message
	for i, ok := range reserved {
		if ok {
			store.add(list[i])
			sent = append(sent, store.lease(list[i].ID, lease))
		}
	}
	reservation.Send(sent)
	return len(sent)
}

func TestWhatIsHandedOverIsSentAtOnceAndNotClaimed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newMemoryStore()
		r := run(t, store, exchangeFunc(func(context.Context, outbox.Message) Exchange { return answer(200) }))
		synctest.Wait()
		start := time.Now()
		if hand(r.Dispatcher, store, newMessage("https://receiver.example/hook")) != 1 {
			t.Fatal("there is no place")
		}
		<-store.settled
		if took := time.Since(start); took != 0 {
			t.Errorf("delivered after %v", took)
		}
		r.stop()
		if store.claimCalls != 1 {
			t.Errorf("%d claims, want the one of the start", store.claimCalls)
		}
	})
}

// Places are kept where a claim keeps them, and for older messages that wait for one.
func TestWhenNothingIsHandedOver(t *testing.T) {
	t.Parallel()
	slow := exchangeFunc(func(context.Context, outbox.Message) Exchange {
		time.Sleep(10 * time.Second) // all here is of the bubble's clock
		return answer(200)
	})
	const here, there = "https://here.example", "https://there.example"
	cases := []struct {
		name   string
		change func(*Config)
		before func(*running, *memoryStore)
		want   int
	}{
		{"nothing waits", small(4, 2), func(*running, *memoryStore) {}, 2},
		{"the endpoint has its share", small(4, 2), func(r *running, s *memoryStore) {
			hand(r.Dispatcher, s, messages(here, 2)...)
		}, 0},
		{"all places are taken", small(4, 2), func(r *running, s *memoryStore) {
			hand(r.Dispatcher, s, messages(there, 2)...)
			hand(r.Dispatcher, s, messages("https://third.example", 1)...)
			hand(r.Dispatcher, s, messages("https://fourth.example", 1)...)
		}, 0},
		{"others that have not answered since want a second place", small(4, 2), func(r *running, s *memoryStore) {
			hand(r.Dispatcher, s, messages(there, 2)...)
			hand(r.Dispatcher, s, messages("https://third.example", 2)...)
		}, 1},
		{"older messages wait for any place", small(4, 2), func(r *running, s *memoryStore) {
			s.add(messages(here, 2)...)
			s.add(messages(there, 5)...)
			s.add(messages("https://third.example", 5)...)
			r.Nudge()
			synctest.Wait()
		}, 0},
		{"the endpoint is silent and half of the places are taken", small(4, 2), func(r *running, s *memoryStore) {
			hand(r.Dispatcher, s, messages(here, 1)...)
			hand(r.Dispatcher, s, messages(there, 2)...)
			time.Sleep(2 * time.Second)
		}, 0},
		{"the endpoint is silent and others have places", small(4, 2), func(r *running, s *memoryStore) {
			hand(r.Dispatcher, s, messages(here, 1)...)
			time.Sleep(2 * time.Second)
		}, 1},
		{"the endpoint has a rate", func(c *Config) { c.EndpointRate = 5 }, func(*running, *memoryStore) {}, 0},
		{"outcomes cannot be recorded", small(4, 2), func(r *running, s *memoryStore) {
			s.failSettles = 1000
			hand(r.Dispatcher, s, messages(there, 1)...)
			time.Sleep(11 * time.Second)
			synctest.Wait()
		}, 0},
		{"the relay stops", small(4, 2), func(r *running, _ *memoryStore) { r.stop() }, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := newMemoryStore()
				r := run(t, store, slow, c.change)
				synctest.Wait()
				c.before(r, store)
				if got := hand(r.Dispatcher, store, messages(here, 3)...); got != c.want {
					t.Errorf("%d messages are handed over, want %d", got, c.want)
				}
				r.stop()
			})
		})
	}
}

// Run waits for a transaction under way, sends what it leased, and no more.
func TestShutdownWaitsForWhatIsBeingHandedOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newMemoryStore()
		r := run(t, store, exchangeFunc(func(context.Context, outbox.Message) Exchange { return answer(200) }))
		synctest.Wait()
		m := newMessage("https://receiver.example/hook")
		store.add(m)
		m = store.lease(m.ID, time.Minute)
		reservation := reserve(r.Dispatcher, m, m)
		if reserved, _ := reservation.Reserved(); !reserved[0] || !reserved[1] {
			t.Fatal("there is no place")
		}
		start := time.Now()
		go func() {
			time.Sleep(2 * time.Second)
			reservation.Send([]outbox.Message{m})
		}()
		r.stop()
		if took := time.Since(start); took != 2*time.Second || store.row(m.ID).state != outbox.StateDelivered {
			t.Errorf("Run returned after %v, the message is %s", took, store.row(m.ID).state)
		}
	})
}

// A transaction that does not end holds up the shutdown no longer than a request may; what it leased comes due again.
func TestShutdownDoesNotWaitForEverForAHandover(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		r := run(t, newMemoryStore(),
			exchangeFunc(func(context.Context, outbox.Message) Exchange { sent++; return answer(200) }))
		synctest.Wait()
		m := newMessage("https://receiver.example/hook")
		reservation := reserve(r.Dispatcher, m)
		if reserved, _ := reservation.Reserved(); !reserved[0] {
			t.Fatal("there is no place")
		}
		r.stop()
		reservation.Send([]outbox.Message{m})
		synctest.Wait()
		if sent != 0 || r.gate.vacant() != r.gate.total/2 || len(r.gate.lanes) != 0 {
			t.Errorf("%d sent after the end; lanes %v", sent, r.gate.lanes)
		}
	})
}

// A commit may wait for a synchronous standby: what else the endpoint has to get does not wait with it.
func TestAReservationDoesNotHoldUpClaims(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newMemoryStore()
		var inFlight flight
		r := run(t, store, exchangeFunc(func(_ context.Context, m outbox.Message) Exchange {
			inFlight.during(m.Endpoint, func() { time.Sleep(time.Second) })
			return answer(200)
		}), func(c *Config) { c.EndpointConcurrency = 2 })
		synctest.Wait()
		old, fresh := messages("https://receiver.example/hook", 4), newMessage("https://receiver.example/hook")
		reservation := reserve(r.Dispatcher, fresh, fresh)
		store.add(old...)
		store.add(fresh)
		fresh = store.lease(fresh.ID, 20*time.Second)
		start := time.Now()
		r.Nudge()
		store.await(t, 2)
		if took := time.Since(start); took > 3*reserveTime {
			t.Errorf("the first were delivered after %v", took)
		}
		synctest.Wait()
		reservation.Send([]outbox.Message{fresh}) // now the others have both places
		store.await(t, 3)
		r.stop()
		if inFlight.most > 2 || len(r.gate.lanes) != 0 || store.row(fresh.ID).state != outbox.StateDelivered {
			t.Errorf("%d at once, lanes %v, the late one is %s", inFlight.most, r.gate.lanes, store.row(fresh.ID).state)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("the late one was delivered after %v: it was left to its lease", took)
		}
	})
}

// Between the statement that leases a message and the commit the endpoint may have begun to fail.
func TestAnEndpointThatHasFailedMeanwhileGetsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newMemoryStore()
		var ends time.Time
		r := run(t, store, exchangeFunc(func(_ context.Context,
			m outbox.Message) Exchange {
			ends = m.LeaseEnds
			return answer(200)
		}))
		synctest.Wait()
		m := newMessage("https://receiver.example/hook")
		reservation := reserve(r.Dispatcher, m)
		store.add(m)
		m = store.lease(m.ID, time.Hour)
		r.gate.judge(m.Endpoint, false, slowAnswer)
		reservation.Send([]outbox.Message{m})
		if reserved, _ := r.Senders().Reserve([]uuid.UUID{m.Endpoint}).Reserved(); reserved[0] {
			t.Error("there is a place for the next one")
		}
		store.await(t, 1)
		r.stop()
		if ends.Equal(m.LeaseEnds) {
			t.Error("it is sent by hand, and not by a claim, which knows what the database says of the endpoint")
		}
	})
}

// Where the answer to a commit was lost, what it leased is due for a claim at once, or it does not exist.
func TestADroppedReservationGivesItsMessagesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newMemoryStore()
		r := run(t, store, exchangeFunc(func(context.Context, outbox.Message) Exchange { return answer(200) }))
		synctest.Wait()
		m := newMessage("https://receiver.example/hook")
		reservation := reserve(r.Dispatcher, m)
		store.add(m)
		m = store.lease(m.ID, time.Hour)
		store.failReleases = 2
		start := time.Now()
		reservation.Drop([]outbox.Message{m})
		store.await(t, 1)
		took := time.Since(start)
		r.stop()
		if took > 10*time.Second || len(r.gate.lanes) != 0 {
			t.Errorf("delivered after %v; lanes %v", took, r.gate.lanes)
		}
	})
}

// Reservations that came when places were given away no more end like all others.
func TestReservationsThatEndWithTheRelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := run(t, newMemoryStore(), exchangeFunc(func(context.Context, outbox.Message) Exchange { return answer(200) }))
		synctest.Wait()
		before := reserve(r.Dispatcher, newMessage("https://receiver.example/hook"))
		stopped := make(chan struct{})
		go func() {
			r.stop()
			close(stopped)
		}()
		synctest.Wait()
		after := reserve(r.Dispatcher, newMessage("https://receiver.example/hook"))
		before.Send(nil)
		after.Send(nil)
		<-stopped
	})
}

// A transaction whose answer was lost commits later: what it leased is given back then.
func TestWhatIsNotFoundYetIsGivenBackLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, r := runBusy(t, answersAfter(10*time.Millisecond), 10*time.Millisecond, small(4, 2))
		m := newMessage(busyURL)
		m.Token = uuid.New()
		reservation := r.Senders().Reserve(endpointsOf([]outbox.Message{m}))
		reservation.Drop([]outbox.Message{m})
		time.Sleep(5 * time.Second)
		store.add(m)
		store.mu.Lock()
		store.rows[m.ID].token, store.rows[m.ID].due = m.Token, time.Now().Add(time.Hour)
		store.mu.Unlock()
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if row := store.row(m.ID); row.state != outbox.StateDelivered {
			t.Errorf("it is %s", row.state)
		}
		r.stop()
	})
}
