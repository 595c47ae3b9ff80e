package delivery

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"attendee-relay/internal/fault"
	"attendee-relay/outbox"
)

const (
	// settleBatch is the most outcomes recorded at once.
	settleBatch = 500
	// storeTimeout bounds one call to the store. With the lease's 15 s it leaves a claimed message more than a timeout.
	storeTimeout = 10 * time.Second
)

var errStoreSilent = errors.New("the database did not answer in time")

// settler records outcomes: at once when there is one, in batches when they come faster than the store takes them.
type settler struct {
	store      Store
	unrecorded *unrecorded
	// leave has leased messages given back.
	leave  func(...outbox.Message)
	outage outage
	late   prometheus.Counter
	random func() float64
	task   *fault.Task
	// aside are the outcomes that the database refuses.
	aside aside
}

// run records results until it is closed and empty, and retries refused ones now and then. When ctx ends it stops
// trying, and only empties results so that no request waits for its place there.
func (s *settler) run(ctx context.Context, results <-chan outbox.Settlement) {
	batch := make([]outbox.Settlement, 0, settleBatch)
	for {
		select {
		case first, open := <-results:
			if !open {
				s.aside.abandon()
				return
			}
			batch = gather(append(batch[:0], first), results)
			s.record(ctx, batch)
			clear(batch) // the payloads are not needed any more
		case <-s.aside.due():
		}
		s.again(ctx)
	}
}

// gather adds to batch what is there already; it never waits.
func gather(batch []outbox.Settlement, results <-chan outbox.Settlement) []outbox.Settlement {
	for len(batch) < settleBatch {
		select {
		case next, open := <-results:
			if !open {
				return batch
			}
			batch = append(batch, next)
		default:
			return batch
		}
	}
	return batch
}

// record tries until it succeeds: a 2xx that is forgotten is a webhook sent twice. Outcomes whose lease ended meanwhile
// are the store's to refuse.
func (s *settler) record(ctx context.Context, batch []outbox.Settlement) {
	wait := backoff{random: s.random}
	for {
		s.unrecorded.renew(batch)
		settled, err := s.try(ctx, batch)
		if err == nil {
			s.outage.recovered()
			s.leave(s.unrecorded.end(without(batch, settled.Unstorable))...)
			if settled.Refused > 0 {
				s.late.Add(float64(settled.Refused))
				s.outage.log.Warn("outcomes were refused: their leases had ended, and their messages are sent again, "+
					"or they were recorded already", zap.Int("refused", settled.Refused))
			}
			return
		}
		s.outage.failed(err)
		if !pause(ctx, wait.next()) {
			s.outage.log.Error("outcomes were not recorded before the end; their messages are sent again with the same id",
				zap.Int("messages", len(batch)))
			return
		}
	}
}

func (s *settler) try(ctx context.Context, batch []outbox.Settlement) (outbox.Settled, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, storeTimeout, errStoreSilent)
	defer cancel()
	s.task.Begin()
	settled, err := s.store.Settle(ctx, batch)
	if err == nil {
		err = s.aside.take(settled.Unstorable, time.Now())
	}
	s.task.End(err)
	return settled, err
}
