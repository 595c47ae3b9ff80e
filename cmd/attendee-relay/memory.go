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
	// restful is how many bytes an idle process allocates in that time at most; worthwhile is how many one allocates that
	// has worked.
	restful    = 1 << 20
	worthwhile = 4 << 20
)

// memory returns freed memory to the operating system once a process is idle again: Go would keep it for minutes, until
// its next periodic collection.
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
