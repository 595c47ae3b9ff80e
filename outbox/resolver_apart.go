package outbox

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"attendee-relay/internal/fault"
)

// runApart evaluates the acceptances of keys that failed before, until the context ends. It is woken while there are
// any, and otherwise has no session. answered is called when some are done.
func (v *Resolver) runApart(ctx context.Context, answered func()) {
	defer v.task.Rest()
	var again <-chan time.Time
	for {
		select {
		case <-v.wake:
		case <-again:
		case <-ctx.Done():
			return
		}
		if again = nil; !v.leading() {
			v.task.Rest()
			v.reader.close(ctx)
			continue
		}
		v.task.Begin()
		next, err := v.resolveDue(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errFenced):
			v.task.Rest()
			next = resolveAtLeast // not at once: this process may not know yet that it no longer leads
		case err != nil:
			v.task.End(err)
			v.log.Warn("evaluating the acceptances that failed before failed and is tried again",
				zap.String("error", fault.Sentence(err)))
			next = time.Second
		default:
			v.task.End(nil)
			if v.stored {
				answered()
			}
			if v.stored = false; next == nothingWaits {
				v.reader.close(ctx)
				continue
			}
		}
		again = time.After(next)
	}
}
