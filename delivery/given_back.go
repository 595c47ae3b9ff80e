package delivery

import (
	"context"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"attendee-relay/outbox"
)

// givenBack are messages that were leased and are not sent, because a request would not end within the lease or there was no place
// after all.
type givenBack struct {
	store Store
	log   *zap.Logger

	mu   sync.Mutex
	list []outbox.Message
}

func (g *givenBack) add(messages ...outbox.Message) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.list = append(g.list, messages...)
}

// release ends the leases of those there are. What it cannot release it keeps for the next time.
func (g *givenBack) release(ctx context.Context) error {
	g.mu.Lock()
	list := g.list
	g.list = nil
	g.mu.Unlock()
	if len(list) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, storeTimeout, errStoreSilent)
	defer cancel()
	if err := g.store.Release(ctx, list); err != nil {
		now := time.Now()
		g.add(slices.DeleteFunc(list, func(m outbox.Message) bool { return now.After(m.LeaseEnds) })...)
		return err
	}
	g.log.Info("leased messages that could not be sent, or whose transaction may not have committed, were given back", zap.Int("messages", len(list)))
	return nil
}
