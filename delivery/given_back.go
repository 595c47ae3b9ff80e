package delivery

import (
	"context"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"attendee-relay/outbox"
)

// missedAgain is how long messages that were not found are left before they are looked for again.
const missedAgain = time.Second

// givenBack are messages that were leased and are not sent, because a request would not end within the lease or there
// was no place after all.
type givenBack struct {
	store Store
	log   *zap.Logger

	mu   sync.Mutex
	list []outbox.Message
	// missed were not found; their transaction may yet commit. They are looked for again at that time.
	missed []outbox.Message
	again  time.Time
}

func (g *givenBack) add(messages ...outbox.Message) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.list = append(g.list, messages...)
}

// release ends their leases. Those that it cannot release are kept for the next time, until their lease is over.
func (g *givenBack) release(ctx context.Context) error {
	list := g.take(time.Now())
	if len(list) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, storeTimeout, errStoreSilent)
	defer cancel()
	missed, err := g.store.Release(ctx, list)
	if err != nil {
		g.add(leased(list)...)
		return err
	}
	g.miss(leased(missed))
	if n := len(list) - len(missed); n > 0 {
		g.log.Info("leased messages that could not be sent, or whose transaction may not have committed, were given back",
			zap.Int("messages", n))
	}
	return nil
}

func (g *givenBack) take(now time.Time) []outbox.Message {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := g.list
	g.list = nil
	if !now.Before(g.again) {
		list, g.missed = append(list, g.missed...), nil
	}
	return list
}

func (g *givenBack) miss(messages []outbox.Message) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.missed) == 0 {
		g.again = time.Now().Add(missedAgain)
	}
	g.missed = append(g.missed, messages...)
}

// leased are those whose lease is not over.
func leased(messages []outbox.Message) []outbox.Message {
	now := time.Now()
	return slices.DeleteFunc(messages, func(m outbox.Message) bool { return now.After(m.LeaseEnds) })
}
