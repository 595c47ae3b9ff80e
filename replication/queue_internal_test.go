package replication

import (
	"testing"
	"testing/synctest"
	"time"
)

// A batch waits for more where it is late and the stream is busy, and not for what it has enough of.
func TestALateBatchGathers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		age         time.Duration
		there, more int
		limit       int64
		want        int
		waits       bool
	}{
		"alone, however late":   {age: time.Hour, there: 1, more: 1, limit: 100, want: 1},
		"in time":               {age: lateness, there: 3, more: 5, limit: 100, want: 3},
		"late":                  {age: 2 * lateness, there: 3, more: 5, limit: 100, want: 8, waits: true},
		"late, with more yet":   {age: 2 * lateness, there: 3, more: 50, limit: 100, want: 34, waits: true},
		"late, and full before": {age: 2 * lateness, there: 50, more: 50, limit: 100, want: 34},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				q := newQueue()
				put := func(n int) {
					for range n {
						if full, err := q.put(t.Context(), item{commit: &Commit{Time: time.Now().Add(-c.age)}}, 0); full || err != nil {
							t.Error(full, err)
						}
					}
				}
				put(c.there)
				go func() {
					time.Sleep(gather / 2)
					put(c.more)
				}()
				began := time.Now()
				got, err := q.batch(t.Context(), c.limit)
				if err != nil || len(got) != c.want {
					t.Errorf("%d commits: %v", len(got), err)
				}
				if waited := time.Since(began) == gather; waited != c.waits {
					t.Errorf("it waited %v", time.Since(began))
				}
				synctest.Wait()
				time.Sleep(gather)
			})
		})
	}
}
