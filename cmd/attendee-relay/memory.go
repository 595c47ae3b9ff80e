package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// restEvery is how often it is looked whether the process has come to rest.
	restEvery = 10 * time.Second
	// limitEvery is how often Go's memory limit is adjusted to what is in use.
	limitEvery = time.Second
	// restful is how much is allocated in that time, in bytes, by a process that rests, and worthwhile how much by one
	// that has worked.
	restful    = 1 << 20
	worthwhile = 4 << 20
)

// memory gives what work has left to the operating system when there is no more work: Go would keep it for minutes,
// until the next collection that nothing but time calls for.
type memory struct {
	// allocated is how much the process has ever allocated, in bytes; free collects what is garbage and gives it back.
	allocated func() uint64
	free      func()
	// limit is nil where it is not ours to set.
	limit *memoryLimit
	// seen was allocated at the last look, freed when it was last freed.
	seen, freed uint64
}

func newMemory() *memory {
	return &memory{allocated: allocatedBytes, free: debug.FreeOSMemory, limit: newMemoryLimit()}
}

func allocatedBytes() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// run works until ctx ends.
func (m *memory) run(ctx context.Context) error {
	tick := time.NewTicker(restEvery)
	defer tick.Stop()
	limit := time.NewTicker(limitEvery)
	defer limit.Stop()
	m.limit.adjust()
	for {
		select {
		case <-tick.C:
			m.look()
		case <-limit.C:
			m.limit.adjust()
		case <-ctx.Done():
			return nil
		}
	}
}

func (m *memory) look() {
	now := m.allocated()
	rests := now-m.seen < restful
	m.seen = now
	if rests && now-m.freed >= worthwhile {
		m.freed = now
		m.free()
	}
}
