package delivery

import (
	"context"
	"sync"

	"go.uber.org/zap"

	"attendee-relay/outbox"
)

// givenBack are messages that were leased and are not sent, because a request would not end within the lease or there was no place
// after all. Where their leases cannot be ended, they come due with the leases' ends.
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

// release ends the leases of those there are.
func (g *givenBack) release(ctx context.Context) {
	g.mu.Lock()
	list := g.list
	g.list = nil
	g.mu.Unlock()
	if len(list) == 0 {
		return
	}
	ctx, cancel := context.WithTimeoutCause(ctx, storeTimeout, errStoreSilent)
	defer cancel()
	g.log.Info("leased messages could not be sent and are given back", zap.Int("messages", len(list)))
	if err := g.store.Release(ctx, list); err != nil {
		g.log.Warn("messages that could not be sent come due with the end of their lease", zap.Int("messages", len(list)), zap.Error(err))
	}
}
