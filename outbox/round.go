package outbox

import (
	"math/rand/v2"
	"slices"

	"attendee-relay/internal/postgres"
)

// round is one batch of due acceptances on its way through the payload query, the acceptances of a key together.
type round struct {
	groups [][]*due
	// keys is how many of them are to be evaluated at once: half as many after a failure, twice as many after a
	// success. taken is how many were.
	keys, taken int
	// timeouts is how many single keys in a row ran into the timeout.
	timeouts int
}

// next takes the next acceptances, of at most so many keys.
func (r *round) next(most int) []*due {
	r.taken = min(r.keys, most, len(r.groups))
	return slices.Concat(r.groups[:r.taken]...)
}

func (r *round) rest() []*due { return slices.Concat(r.groups...) }

// done goes past what was taken; after too many timeouts, past all.
func (r *round) done() {
	if r.timeouts == timeoutsInARow {
		r.taken = len(r.groups)
	}
	r.groups = r.groups[r.taken:]
}

func (r *round) succeeded() {
	r.timeouts = 0
	r.keys = max(r.keys, 2*r.taken)
	r.done()
}

// failed notes a failure, and reports whether to go on with fewer keys; else a single one has failed. Keys that run
// into the timeout end the round, so they come in another order each time.
func (r *round) failed(err error) (fewer bool) {
	timeout := postgres.Code(err) == "57014"
	r.keys = max(1, r.taken/2)
	switch {
	case r.taken > 1 && timeout:
		r.keys = 1
		swap := func(i, j int) { r.groups[i], r.groups[j] = r.groups[j], r.groups[i] }
		rand.Shuffle(len(r.groups), swap) //nolint:gosec // only an order
		return true
	case r.taken > 1:
		return true
	}
	if r.timeouts++; !timeout {
		r.timeouts = 0
	}
	return false
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
