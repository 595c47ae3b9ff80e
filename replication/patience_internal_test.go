package replication

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"attendee-relay/internal/postgres"
)

// However long the server is silent, one of the next streams waits long enough; the one after a commit is as strict as
// before.
func TestSilenceIsMetWithMorePatienceEachTime(t *testing.T) {
	t.Parallel()
	const interval = time.Second
	var kept patience
	silentFor := func(silence time.Duration) error {
		now := time.Now()
		s := &stream{interval: interval, patience: &kept, recorded: new(atomic.Uint64), heard: now.Add(-silence), asked: true,
			told: now}
		return s.keepInTouch(now)
	}
	for try, limit := range []time.Duration{2 * interval, 4 * interval, 8 * interval} {
		if err := silentFor(limit); err != nil {
			t.Errorf("try %d gives up after %v: %v", try, limit, err)
		}
		if err := silentFor(limit + time.Millisecond); !errors.Is(err, postgres.ErrSilent) {
			t.Errorf("try %d, silence of more than %v: %v", try, limit, err)
		}
	}
	for range 100 {
		kept.lost()
	}
	if got := kept.of(interval); got != maxPatience {
		t.Errorf("after many silences: %v", got)
	}
	kept.rewarded()
	if err := silentFor(2*interval + time.Millisecond); !errors.Is(err, postgres.ErrSilent) {
		t.Errorf("after a commit: %v", err)
	}
}
