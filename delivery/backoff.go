package delivery

import (
	"context"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

const (
	firstBackoff = 200 * time.Millisecond
	// lastBackoff is well below fault.Limit: a wait alone must not look like a stage that gets nowhere.
	lastBackoff = 5 * time.Second
)

// backoff is the wait between tries of something that fails: doubling, spread like retries are. Its zero value but for
// random is ready.
type backoff struct {
	random func() float64
	step   time.Duration
}

func (b *backoff) reset() { b.step = 0 }

func (b *backoff) next() time.Duration {
	b.step = min(max(2*b.step, firstBackoff), lastBackoff)
	return policy{random: b.random}.spread(b.step)
}

// pause waits, and reports false when ctx ended first.
func pause(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// outage logs that the store stopped answering and that it answers again, once each, however long it lasts.
type outage struct {
	log  *zap.Logger
	what string
	// failing is also read by others than the one who tries.
	failing atomic.Bool
}

func (o *outage) failed(err error) {
	if !o.failing.Swap(true) {
		o.log.Warn(o.what+" fails, trying again until it succeeds", zap.Error(err))
	}
}

func (o *outage) recovered() {
	if o.failing.Swap(false) {
		o.log.Info(o.what + " succeeds again")
	}
}
