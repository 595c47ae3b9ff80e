package replication

import (
	"sync"
	"sync/atomic"
)

// unrecorded knows when the commits that are read and not recorded were committed, batch by batch.
type unrecorded struct {
	// oldest is the first one's time in Unix nanoseconds; 0: there is none.
	oldest *atomic.Int64

	mu    sync.Mutex
	times []int64
}

// add is told of a batch.
func (u *unrecorded) add(commits []Commit) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.times = append(u.times, commits[0].Time.UnixNano())
	u.oldest.Store(u.times[0])
}

// remove is told that the first batch is recorded.
func (u *unrecorded) remove() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.times = u.times[1:]; len(u.times) > 0 {
		u.oldest.Store(u.times[0])
	} else {
		u.oldest.Store(0)
	}
}
