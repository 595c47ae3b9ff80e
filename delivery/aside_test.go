package delivery

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"attendee-relay/internal/fault"
	"attendee-relay/outbox"
)

// refusing makes the store refuse the outcomes of these messages, and of no others.
func (s *memoryStore) refusing(ids ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unstorable = map[string]bool{}
	for _, id := range ids {
		s.unstorable[id] = true
	}
}

// An outcome that the database refuses is named in a fault and delays nothing else; its message is not sent again
// although its lease ends, and the outcome is recorded once the database accepts it.
func TestAnOutcomeThatTheDatabaseRefusesIsSetAside(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		list := messages("https://receiver.example/hook", 40)
		store := newMemoryStore(list...)
		culprit := list[7].ID
		store.refusing(culprit)
		sent := map[string]int{}
		r := run(t, store, exchangeFunc(func(_ context.Context, m outbox.Message) Exchange {
			sent[m.ID]++
			return answer(200)
		}), func(c *Config) { c.Concurrency = 1 })
		store.await(t, 39)
		synctest.Wait()
		shown := func() []fault.Fault {
			r.board.Judge(t.Context())
			return slices.DeleteFunc(r.board.List(), func(f fault.Fault) bool { return f.Code != fault.DeliveryFailing })
		}
		if f := shown(); len(f) != 1 || !f[0].Partial || !strings.Contains(f[0].Message, culprit) {
			t.Errorf("faults %+v", f)
		}
		time.Sleep(10 * time.Minute) // of the bubble's clock: many leases
		synctest.Wait()
		if row := store.row(culprit); sent[culprit] != 1 || row.state != outbox.StatePending {
			t.Errorf("it was sent %d times, %+v", sent[culprit], row)
		}
		store.add(newMessage("https://receiver.example/other"))
		store.await(t, 1)
		store.refusing()
		time.Sleep(asideLast)
		store.await(t, 1)
		synctest.Wait()
		if row := store.row(culprit); sent[culprit] != 1 || row.state != outbox.StateDelivered || len(row.attempts) != 1 {
			t.Errorf("it was sent %d times, %+v", sent[culprit], row)
		}
		if f := shown(); len(f) != 0 {
			t.Errorf("faults %+v", f)
		}
		if n := r.logs.FilterMessageSnippet("an outcome was not recorded").Len(); n != 1 {
			t.Errorf("it was logged %d times", n)
		}
		r.stop()
	})
}

// If the database refuses every outcome, sending stops in the end, and no outcome is lost.
func TestOutcomesThatTheDatabaseAllRefusesStopSending(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		list := messages("https://receiver.example/hook", 4*asideMost)
		store := newMemoryStore(list...)
		var ids []string
		for _, m := range list {
			ids = append(ids, m.ID)
		}
		store.refusing(ids...)
		var sent atomic.Int64
		r := run(t, store, exchangeFunc(func(context.Context, outbox.Message) Exchange {
			sent.Add(1)
			return answer(200)
		}), func(c *Config) { c.Concurrency = 1 })
		time.Sleep(10 * time.Minute)
		if n := sent.Load(); n < asideMost || n > asideMost+2*settleBatch {
			t.Errorf("%d were sent", n)
		}
		store.refusing()
		store.await(t, len(list))
		r.stop()
		if n := sent.Load(); n != int64(len(list)) {
			t.Errorf("%d messages were sent %d times", len(list), n)
		}
	})
}

// The outcomes that are left at the end are logged with their messages.
func TestARunEndsWithAnOutcomeSetAside(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMessage("https://receiver.example/hook")
		store := newMemoryStore(m)
		store.refusing(m.ID)
		r := run(t, store, exchangeFunc(func(context.Context, outbox.Message) Exchange { return answer(200) }))
		time.Sleep(time.Second)
		start := time.Now()
		r.stop()
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("stopping took %v", took)
		}
		if n := r.logs.FilterMessageSnippet("was not recorded before the end").Len(); n != 1 {
			t.Errorf("%v", r.logs.All())
		}
	})
}
