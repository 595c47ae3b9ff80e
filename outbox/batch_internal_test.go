package outbox

import (
	"slices"
	"testing"

	"attendee-relay/replication"
)

// An acceptance queues behind what waits with its key: the one that it has after all the commits.
func TestKeysOfWhatMayWait(t *testing.T) {
	t.Parallel()
	change := func(op replication.Op, identity, key string, status replication.Status) replication.Commit {
		c := replication.Change{Op: op, Identity: identity, Key: replication.TextValue(key), Status: status}
		return replication.Commit{Changes: []replication.Change{c}}
	}
	accepted := change(replication.Insert, "2", "before", replication.Accepted)
	cancelled := change(replication.Update, "2", "after", replication.NotAccepted)
	if _, keys := mentioned([]replication.Commit{accepted, cancelled}); !slices.Equal(keys, []string{"before", "after"}) {
		t.Errorf("the keys of a row that was accepted and then given another key are %q", keys)
	}
	if _, keys := mentioned([]replication.Commit{cancelled}); len(keys) > 0 {
		t.Errorf("the keys %q are looked for although nothing is accepted", keys)
	}
}
