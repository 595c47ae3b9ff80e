package replication

import (
	"sync"
	"sync/atomic"
)

// lag knows when the commits that are read and not recorded were committed, batch by batch.
type lag struct {
	// oldest is the first one's time in Unix nanoseconds; 0: there is none.
	oldest *atomic.Int64

	mu    sync.Mutex
	times []int64
}

// add is told of a batch.
func (l *lag) add(commits []Commit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.times = append(l.times, commits[0].local().UnixNano())
	l.oldest.Store(l.times[0])
}

// remove is told that the first batch is recorded.
func (l *lag) remove() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.times = l.times[1:]; len(l.times) > 0 {
		l.oldest.Store(l.times[0])
	} else {
		l.oldest.Store(0)
	}
}
