package replication

import (
	"context"
	"time"

	"github.com/jackc/pglogrepl"
)

// queueWeight bounds the changes that are read and not recorded yet, and with them memory.
const queueWeight = 2 * PartSize

// item is a commit (or a part of one), a position with nothing to record up to it, or rows that changed unseen.
type item struct {
	commit  *Commit
	advance pglogrepl.LSN
	// urgent: the server waits for an answer, so the position should be stored now.
	urgent bool
	unseen *difference
}

// itemWeight is the memory of an item without its commit's changes, counted in changes.
const itemWeight = 3

// weight counts what an item holds in memory, in changes with little text. One that is larger than the queue weighs
// as much as it.
func (it item) weight() int64 {
	weight := int64(itemWeight)
	if it.commit != nil {
		for i := range it.commit.Changes {
			weight += int64(it.commit.Changes[i].weight())
		}
	}
	return min(weight, queueWeight)
}

// queue connects the goroutine that reads and the one that records. It holds at most queueWeight changes.
type queue struct {
	items chan item
	free  chan int64 // holds one value: the weight that is free
	grown chan struct{}
}

func newQueue() *queue {
	q := &queue{items: make(chan item, queueWeight/itemWeight), free: make(chan int64, 1), grown: make(chan struct{}, 1)}
	q.free <- queueWeight
	return q
}

// put adds an item. It reports full when there was no room for as long as patience.
func (q *queue) put(ctx context.Context, it item, patience time.Duration) (full bool, err error) {
	if q.take(it.weight()) {
		q.items <- it
		return false, nil
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case <-q.grown:
			if q.take(it.weight()) {
				q.items <- it
				return false, nil
			}
		case <-timer.C:
			return true, nil
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}

func (q *queue) take(weight int64) bool {
	free := <-q.free
	ok := free >= weight
	if ok {
		free -= weight
	}
	q.free <- free
	return ok
}

// release gives the weight of recorded items back.
func (q *queue) release(weight int64) {
	q.free <- <-q.free + weight
	select {
	case q.grown <- struct{}{}:
	default:
	}
}

const (
	// gather is how long a late batch waits for more commits, and lateness how old its first commit is then. Each batch
	// costs a transaction that is flushed to the disk, and a fast stream would have one for every few commits.
	gather   = 10 * time.Millisecond
	lateness = time.Second
)

// batch waits for an item and returns it with those that are there already, up to limit changes: one at once when idle,
// many together under a backlog.
func (q *queue) batch(ctx context.Context, limit int64) ([]item, error) {
	crowded := len(q.items) > 1
	var batch []item
	select {
	case it := <-q.items:
		batch = append(batch, it)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	batch, weight := q.collect(batch, batch[0].weight(), limit)
	if weight < limit && crowded && batch[0].late() {
		select {
		case <-time.After(gather):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		batch, _ = q.collect(batch, weight, limit)
	}
	return batch, nil
}

// collect adds the items that are there to a batch of this weight, up to limit.
func (q *queue) collect(batch []item, weight, limit int64) ([]item, int64) {
	for weight < limit {
		select {
		case it := <-q.items:
			batch, weight = append(batch, it), weight+it.weight()
		default:
			return batch, weight
		}
	}
	return batch, weight
}

func (it item) late() bool { return it.commit != nil && time.Since(it.commit.local()) > lateness }
