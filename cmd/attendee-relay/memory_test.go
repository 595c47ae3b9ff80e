package main

import "testing"

func TestMemoryIsFreedWhenTheWorkIsDone(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	var allocated uint64
	freed := 0
	m := &memory{allocated: func() uint64 { return allocated }, free: func() { freed++ }}
	for step, c := range []struct {
		more uint64
		want int
	}{
		{100 * mib, 0}, // it works
		{50 * mib, 0},
		{mib / 2, 1}, // it rests
		{mib / 2, 1}, // there is nothing to free
		{0, 1},
		{5 * mib, 1}, // it works again
		{0, 2},
	} {
		allocated += c.more
		if m.look(); freed != c.want {
			t.Errorf("after look %d it was freed %d times, not %d", step+1, freed, c.want)
		}
	}
	if before := allocatedBytes(); before == 0 {
		t.Error("nothing was ever allocated")
	}
}
