package delivery

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"attendee-relay/internal/fault"
	"attendee-relay/outbox"
)

const (
	// asideMost is how many outcomes are set aside at most; if there are more, recording as a whole counts as failing.
	asideMost = 1000
	// asideBatch is how many of them are retried in a row, each alone.
	asideBatch = 10
	// asideFirst and asideLast bound the wait before one is retried; it doubles.
	asideFirst, asideLast = 5 * time.Second, time.Minute
)

// aside holds outcomes that the database refuses in any form. They keep no other outcome from being recorded. Their
// messages are held as unrecorded, so they are not sent again, and each is retried with back-off.
type aside struct {
	log  *zap.Logger
	task *fault.Task
	list []setAside
}

type setAside struct {
	settlement outbox.Settlement
	err        error
	wait       time.Duration
	due        time.Time
}

// take sets outcomes aside. With an error there was no room for them, and none was set aside.
func (a *aside) take(refused []outbox.Unstorable, now time.Time) error {
	if len(refused) == 0 {
		return nil
	}
	if len(a.list)+len(refused) > asideMost {
		return fmt.Errorf("recording outcomes: the database refuses more than %d of them; one: %w", asideMost, refused[0].Err)
	}
	for _, r := range refused {
		a.log.Error("an outcome was not recorded because the database refuses it; its message is not sent again while this "+
			"process runs", zap.String("message_id", r.Settlement.Message.ID), zap.String("error", fault.Sentence(r.Err)))
		a.list = append(a.list, setAside{r.Settlement, r.Err, asideFirst, now.Add(asideFirst)})
	}
	a.tell()
	return nil
}

// tell keeps a fault on the board that names the first of them.
func (a *aside) tell() {
	if len(a.list) == 0 {
		a.task.Rest()
		return
	}
	first, more := &a.list[0], ""
	if len(a.list) > 1 {
		more = fmt.Sprintf(" (and of %d more)", len(a.list)-1)
	}
	a.task.Fail(fmt.Errorf("that of message %s%s: %w", first.settlement.Message.ID, more, first.err))
}

// due returns a channel that signals when one is to be retried; nil if there is none.
func (a *aside) due() <-chan time.Time {
	if len(a.list) == 0 {
		return nil
	}
	first := a.list[0].due
	for i := range a.list {
		if a.list[i].due.Before(first) {
			first = a.list[i].due
		}
	}
	return time.After(time.Until(first))
}

// next removes and returns some that are due.
func (a *aside) next(now time.Time) (some []setAside) {
	a.list = slices.DeleteFunc(a.list, func(s setAside) bool {
		taken := len(some) < asideBatch && !s.due.After(now)
		if taken {
			some = append(some, s)
		}
		return taken
	})
	return some
}

// abandon logs those that are left at the end.
func (a *aside) abandon() {
	for _, s := range a.list {
		a.log.Error("an outcome that the database refuses was not recorded before the end; its message is sent again with "+
			"the same id", zap.String("message_id", s.settlement.Message.ID))
	}
	a.list = nil
	a.tell()
}

// again retries some of the outcomes that were set aside, each alone.
func (s *settler) again(ctx context.Context) {
	some := s.aside.next(time.Now())
	for i := range some {
		if s.alone(ctx, &some[i]) {
			s.aside.log.Info("an outcome that the database refused is recorded",
				zap.String("message_id", some[i].settlement.Message.ID))
			continue
		}
		some[i].wait = min(2*some[i].wait, asideLast)
		some[i].due = time.Now().Add(some[i].wait)
		s.aside.list = append(s.aside.list, some[i])
	}
	if len(some) > 0 {
		s.aside.tell()
	}
}

// alone tries to record one outcome, and reports whether it is done with it.
func (s *settler) alone(ctx context.Context, one *setAside) bool {
	ctx, cancel := context.WithTimeoutCause(ctx, storeTimeout, errStoreSilent)
	defer cancel()
	batch := []outbox.Settlement{one.settlement}
	s.unrecorded.renew(batch)
	settled, err := s.store.Settle(ctx, batch)
	switch {
	case err != nil:
		one.err = err
	case len(settled.Unstorable) > 0:
		one.err = settled.Unstorable[0].Err
	default:
		s.leave(s.unrecorded.end(batch)...)
		s.late.Add(float64(settled.Refused))
		return true
	}
	return false
}

// without returns the settlements of a batch that were not set aside.
func without(batch []outbox.Settlement, refused []outbox.Unstorable) []outbox.Settlement {
	if len(refused) == 0 {
		return batch
	}
	return slices.DeleteFunc(slices.Clone(batch), func(s outbox.Settlement) bool {
		return slices.ContainsFunc(refused, func(r outbox.Unstorable) bool {
			return r.Settlement.Message.Row == s.Message.Row && r.Settlement.Message.Token == s.Message.Token
		})
	})
}
