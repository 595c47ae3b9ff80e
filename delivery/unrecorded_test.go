package delivery

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"attendee-relay/outbox"
)

// slowStore takes its time to record outcomes.
type slowStore struct {
	*memoryStore
	settling func(ctx context.Context) error
}

func (s *slowStore) Settle(ctx context.Context, settlements []outbox.Settlement) (outbox.Settled, error) {
	if err := s.settling(ctx); err != nil {
		return outbox.Settled{}, err
	}
	return s.memoryStore.Settle(ctx, settlements)
}

// count counts by message.
type count struct {
	mu    sync.Mutex
	times map[string]int
}

func (c *count) more(id string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.times == nil {
		c.times = map[string]int{}
	}
	c.times[id]++
	return c.times[id]
}

func (c *count) moreThanOnce() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, times := range c.times {
		if times > 1 {
			n++
		}
	}
	return n
}

// The process stood still for longer than a lease, with requests in flight.
func TestWhatIsInFlightPastItsLeaseIsNotSentAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newMemoryStore(messages(busyURL, 4)...)
		var sent count
		r := run(t, store, exchangeFunc(func(_ context.Context, m outbox.Message) Exchange {
			if sent.more(m.ID) == 1 {
				time.Sleep(50 * time.Second)
				return answer(503)
			}
			return answer(200)
		}), small(16, 8))
		time.Sleep(50*time.Second + time.Millisecond)
		synctest.Wait()
		if n := sent.moreThanOnce(); n != 0 {
			t.Errorf("%d messages were sent again while their first attempt was under way", n)
		}
		time.Sleep(time.Minute)
		for id := range store.rows {
			if row := store.row(id); len(row.attempts) != 2 || row.state != outbox.StateDelivered {
				t.Errorf("%s is %s after %d recorded attempts", id, row.state, len(row.attempts))
			}
		}
		if store.refused != 0 {
			t.Errorf("%d outcomes were refused: they belong to the new lease", store.refused)
		}
		r.stop()
	})
}

// Outcomes wait here while the database does not answer, or answers slowly, for longer than a lease.
func TestWhatIsNotRecordedYetIsNotSentAgain(t *testing.T) {
	t.Parallel()
	for name, settling := range map[string]func(start time.Time) func(context.Context) error{
		"silent": func(start time.Time) func(context.Context) error {
			return func(ctx context.Context) error {
				select {
				case <-time.After(time.Minute - time.Since(start)):
					time.Sleep(100 * time.Millisecond)
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		},
		"slow": func(time.Time) func(context.Context) error {
			return func(context.Context) error {
				time.Sleep(9 * time.Second)
				return nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := newMemoryStore()
				for i := range 200 {
					store.add(messages(fmt.Sprintf("https://r%d.example/hook", i), 40)...)
				}
				var sent count
				r := run(t, &slowStore{store, settling(time.Now())},
					exchangeFunc(func(ctx context.Context, m outbox.Message) Exchange {
						sent.more(m.ID)
						return answersAfter(100*time.Millisecond)(ctx, m)
					}), small(1024, 8))
				time.Sleep(5 * time.Minute)
				synctest.Wait()
				if n := sent.moreThanOnce(); n != 0 || len(sent.times) != 8_000 || store.refused != 0 {
					t.Errorf("of 8000 messages %d were sent, %d more than once; %d outcomes were refused", len(sent.times), n,
						store.refused)
				}
				r.stop()
			})
		})
	}
}

// A claim takes a new lease while the outcome is being recorded under the old one: if nothing was delivered, the new
// one is given back.
func TestALeaseTakenWhileItsOutcomeIsRecordedIsGivenBack(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		outcome outbox.Outcome
		left    int
	}{
		"a failure":  {outbox.RetryIn(time.Second, outbox.Attempt{}), 1},
		"a delivery": {outbox.Delivered(outbox.Attempt{}), 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := newUnrecorded()
			m := newMessage(busyURL)
			m.Token = uuid.New()
			u.begin(&m)
			batch := []outbox.Settlement{{Message: m, Outcome: c.outcome}}
			u.renew(batch)
			again := m
			again.Token = uuid.New()
			if others, n := u.apart([]outbox.Message{again}); n != 1 || len(others) != 0 {
				t.Fatalf("%d are known, %d are sent", n, len(others))
			}
			if left := u.end(batch); len(left) != c.left || c.left > 0 && left[0].Token != again.Token {
				t.Errorf("left: %+v", left)
			}
			u.forget()
			if len(u.messages) != 0 {
				t.Error("it is not forgotten")
			}
		})
	}
}
