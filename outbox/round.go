package outbox

import (
	"math/rand/v2"
	"slices"
	"time"

	"attendee-relay/internal/postgres"
)

// round is one batch of due acceptances on its way through the payload query, the acceptances of a key together. Keys
// that hang must not delay the others: those that failed before come after the others, and each that takes longer than
// a short limit is asked again at the end.
type round struct {
	groups [][]*due
	// again failed in an earlier round; late have run into a limit below full in this one.
	again, late [][]*due
	// limit is how long the query may take now; full is SOURCE_QUERY_TIMEOUT.
	limit, full time.Duration
	// keys is how many of them are evaluated together: half as many after a failure, twice as many after a
	// success. taken is how many were.
	keys, taken int
	// timeouts is how many single keys in a row ran into the full timeout.
	timeouts int
}

func newRound(list []*due, full time.Duration) *round {
	r := &round{limit: full, full: full}
	for _, group := range groupByKey(list) {
		if slices.ContainsFunc(group, func(d *due) bool { return d.failed }) {
			r.again = append(r.again, group)
		} else {
			r.groups = append(r.groups, group)
		}
	}
	r.keys = len(r.groups)
	return r
}

// more reports whether there are acceptances left.
func (r *round) more() bool {
	switch {
	case len(r.groups) > 0:
	case len(r.again) > 0:
		r.groups, r.again = r.again, nil
		r.keys, r.limit = len(r.groups), min(inlineTimeout, r.full)
	default:
		r.groups, r.late = r.late, nil
		r.keys, r.limit = 1, r.full
	}
	return len(r.groups) > 0
}

// next takes the next acceptances, of at most so many keys.
func (r *round) next(most int) []*due {
	r.taken = min(r.keys, most, len(r.groups))
	return slices.Concat(r.groups[:r.taken]...)
}

func (r *round) rest() []*due { return slices.Concat(slices.Concat(r.groups, r.again, r.late)...) }

// done goes past what was taken; after too many timeouts, past all.
func (r *round) done() {
	if r.timeouts == timeoutsInARow {
		r.taken, r.again, r.late = len(r.groups), nil, nil
	}
	r.groups = r.groups[r.taken:]
}

// succeeded records how long an evaluation took. A short limit is for keys that hang, not for a query that is slow for
// all of them.
func (r *round) succeeded(took time.Duration) {
	if r.limit < r.full {
		r.limit = min(max(inlineTimeout, 2*took), r.full)
	}
	r.timeouts = 0
	r.keys = max(r.keys, 2*r.taken)
	r.done()
}

// failed records a failure, and reports whether to continue, with fewer keys or others; if not, a single one has
// failed. Keys that run into the timeout end the round, so they come in another order each time.
func (r *round) failed(err error) (goOn bool) {
	timeout := postgres.Code(err) == "57014"
	r.keys = max(1, r.taken/2)
	switch {
	case r.taken > 1 && timeout:
		r.keys = 1
		if r.limit == r.full {
			r.limit = min(inlineTimeout, r.full)
		}
		swap := func(i, j int) { r.groups[i], r.groups[j] = r.groups[j], r.groups[i] }
		rand.Shuffle(len(r.groups), swap) //nolint:gosec // only an order
		return true
	case r.taken > 1:
		return true
	case timeout && r.limit < r.full:
		r.postpone()
		return true
	}
	if r.timeouts++; !timeout {
		r.timeouts = 0
	}
	return false
}

// postpone leaves the single key that was taken for the end. The limit doubles: the query may be slow for every key.
func (r *round) postpone() {
	r.late, r.groups = append(r.late, r.groups[0]), r.groups[1:]
	r.limit = min(2*r.limit, r.full)
}

// groupByKey keeps the acceptances of one key together and in order.
func groupByKey(list []*due) [][]*due {
	var groups [][]*due
	place := map[string]int{}
	for _, d := range list {
		if d.key != nil {
			if at, again := place[*d.key]; again {
				groups[at] = append(groups[at], d)
				continue
			}
			place[*d.key] = len(groups)
		}
		groups = append(groups, []*due{d})
	}
	return groups
}
