package main

import (
	"errors"
	"math"
	"testing"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

func TestMemoryLimitFollowsWhatIsInUse(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for name, c := range map[string]struct {
		live, besides uint64
		ceiling, want int64
	}{
		"little is in use":               {10 * mib, 5 * mib, math.MaxInt64, workingMemory},
		"as much, in a large container":  {10 * mib, 5 * mib, 4096 * mib, workingMemory},
		"as much, in a small container":  {10 * mib, 5 * mib, 64 * mib, 64 * mib},
		"much is in use":                 {200 * mib, 30 * mib, math.MaxInt64, 430 * mib},
		"many goroutines":                {20 * mib, 90 * mib, math.MaxInt64, 130 * mib},
		"more than the container allows": {200 * mib, 30 * mib, 256 * mib, 256 * mib},
	} {
		var got int64
		set := func(limit int64) int64 { got = limit; return 0 }
		m := &memoryLimit{ceiling: c.ceiling, set: set, used: func() (uint64, uint64) { return c.live, c.besides }}
		if m.adjust(); got != min(c.ceiling, max(workingMemory, int64(c.besides))) {
			t.Errorf("%s: at first the limit is %d MiB", name, got/mib)
		}
		if m.adjust(); got != c.want {
			t.Errorf("%s: the limit is %d MiB, want %d", name, got/mib, c.want/mib)
		}
	}
	if live, besides := usedBytes(); live == 0 || besides == 0 {
		t.Errorf("in use are %d and %d bytes", live, besides)
	}
}

func TestMemoryLimitOfAContainer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		provider memlimit.Provider
		want     int64
	}{
		"limited":   {memlimit.Limit(1000), 900},
		"unlimited": {memlimit.Limit(math.MaxUint64), math.MaxInt64},
		"no limit":  {func() (uint64, error) { return 0, memlimit.ErrNoLimit }, math.MaxInt64},
		"no cgroup": {func() (uint64, error) { return 0, errors.New("none") }, math.MaxInt64},
	} {
		if got := ceiling(c.provider); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// An operator's own limit stays. It runs alone, for it sets the environment.
func TestMemoryLimitOfAnOperatorWins(t *testing.T) {
	t.Setenv("GOMEMLIMIT", "1GiB")
	if m := newMemoryLimit(); m != nil {
		t.Error("it would be changed")
	}
	newMemoryLimit().adjust()
	t.Setenv("GOMEMLIMIT", "")
	if newMemoryLimit() == nil {
		t.Error("without one there is no limit")
	}
}
