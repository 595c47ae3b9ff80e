package main

import (
	"math"
	"os"
	"runtime/debug"
	"runtime/metrics"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

const (
	// workingMemory is what Go may use, in bytes, before it collects garbage more often than it would by itself: one
	// watched row of 16 MiB or one large answer after the other would otherwise be garbage in twice the memory.
	workingMemory = 64 << 20
	// cgroupShare is the part of a container's memory that Go may use.
	cgroupShare = 0.9
)

// memoryLimit is Go's soft limit on memory (GOMEMLIMIT). It is workingMemory, and more where more is in use for good:
// collecting all the time would free nothing. It is never more than the container allows.
type memoryLimit struct {
	// ceiling is what the container allows.
	ceiling int64
	set     func(int64) int64
	// used returns the size of the heap after the last collection, and the memory in use outside the heap.
	used func() (live, besides uint64)
	// seen was live at the look before: a large row that passes through does not raise the limit.
	seen uint64
}

// newMemoryLimit returns nil where an operator has set GOMEMLIMIT.
func newMemoryLimit() *memoryLimit {
	if os.Getenv("GOMEMLIMIT") != "" {
		return nil
	}
	return &memoryLimit{ceiling: ceiling(memlimit.FromCgroup), set: debug.SetMemoryLimit, used: usedBytes}
}

// ceiling is a cgroup's share; without a cgroup, or a limit in it, there is none.
func ceiling(cgroup memlimit.Provider) int64 {
	share, err := memlimit.ApplyRatio(cgroup, cgroupShare)()
	if err != nil || share > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(share)
}

// adjust sets the limit by what is in use, now and when it was called before.
func (m *memoryLimit) adjust() {
	if m == nil {
		return
	}
	live, besides := m.used()
	lasting := min(live, m.seen)
	m.seen = live
	m.set(min(m.ceiling, max(workingMemory, int64(min(2*lasting+besides, math.MaxInt64)))))
}

func usedBytes() (live, besides uint64) {
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(samples)
	besides = samples[1].Value.Uint64()
	for _, heap := range samples[2:] {
		besides -= min(besides, heap.Value.Uint64())
	}
	return samples[0].Value.Uint64(), besides
}
