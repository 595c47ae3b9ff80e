package outbox

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// clock answers for a database: it says when which key was answered, for a query that hangs for some.
type clock struct {
	hangs  map[string]bool
	cost   time.Duration
	now    time.Duration
	passed map[string]time.Duration
	failed []string
}

// ask lets the time of a query pass, and reports whether it ran into the limit.
func (c *clock) ask(list []*due, limit time.Duration) error {
	takes := c.cost
	if slices.ContainsFunc(list, func(d *due) bool { return c.hangs[*d.key] }) {
		takes = time.Hour
	}
	c.now += min(takes, limit)
	if takes > limit {
		return &pgconn.PgError{Code: "57014"}
	}
	for _, d := range list {
		c.passed[*d.key] = c.now
	}
	return nil
}

// run does what Resolver.resolve does with a round.
func (c *clock) run(list []*due, full time.Duration) {
	for r := newRound(list, full); r.more(); {
		some, began := r.next(resolveLimit), c.now
		err := c.ask(some, r.limit)
		switch {
		case err == nil:
			r.succeeded(c.now - began)
			continue
		case r.failed(err):
			continue
		case r.timeouts == timeoutsInARow:
			some = r.rest()
		}
		for _, d := range some {
			c.failed = append(c.failed, *d.key)
		}
		r.done()
	}
}

func waitingFor(keys int, failed ...int) (list []*due) {
	for i := range keys {
		key := strconv.Itoa(i)
		list = append(list, &due{acceptance: acceptance{place: &place{key: &key}}, failed: slices.Contains(failed, i)})
	}
	return list
}

// Keys for which the query hangs do not keep the others waiting, whether it is known of them or not.
func TestHangingKeysAndTheOthers(t *testing.T) {
	t.Parallel()
	const full = 10 * time.Second
	for name, c := range map[string]struct {
		known  []int
		within time.Duration
	}{
		"seen for the first time": {nil, full + 20*time.Second},
		"known from before":       {[]int{3, 4, 5}, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := &clock{hangs: map[string]bool{"3": true, "4": true, "5": true}, cost: time.Millisecond,
				passed: map[string]time.Duration{}}
			db.run(waitingFor(40, c.known...), full)
			for key, at := range db.passed {
				if at > c.within {
					t.Errorf("key %s waited for %v", key, at)
				}
			}
			slices.Sort(db.failed)
			if len(db.passed) != 37 || !slices.Equal(db.failed, []string{"3", "4", "5"}) {
				t.Errorf("%d keys were answered, %v failed", len(db.passed), db.failed)
			}
		})
	}
}

// A query that is slow for every key is not taken for one that hangs.
func TestASlowQueryIsAskedForManyKeysAtOnce(t *testing.T) {
	t.Parallel()
	db := &clock{hangs: map[string]bool{"3": true}, cost: 3 * time.Second, passed: map[string]time.Duration{}}
	db.run(waitingFor(500), 10*time.Second)
	if len(db.passed) != 499 || db.now > 15*time.Minute {
		t.Errorf("%d keys were answered within %v", len(db.passed), db.now)
	}
}
