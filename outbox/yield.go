package outbox

import (
	"context"
	_ "embed"
	"sync/atomic"
	"time"

	"attendee-relay/replication"
)

//go:embed sql/application_writes.sql
var applicationWritesSQL string

const (
	// manyChanges in a batch mean that capture has fallen behind.
	manyChanges = 200
	// busyRows is how many rows a second a busy application writes; they are read no more often than writesEvery, because
	// Postgres counts with a second's delay (PGSTAT_MIN_INTERVAL, PostgreSQL 15), and an answer holds for writesHold.
	busyRows    = 100
	writesEvery = time.Second
	writesHold  = 5 * time.Second
	// restShare is how long capture rests, in terms of the time that it reads and writes; restMost is the most.
	restShare = 3.0
	restMost  = time.Second
	// tooLate is how old commits are for which the application has to wait in turn: the WAL that is kept for them grows.
	tooLate = 5 * time.Minute
)

// yield makes capture pause between two batches of a backlog while the application is busy: late messages may come a
// little later, and the application has the database to itself meanwhile. Without a backlog nothing waits.
type yield struct {
	asked  time.Time
	writes int64
	busy   bool
	rested time.Time
	// writing is how long the last batch took to be written, in nanoseconds.
	writing atomic.Int64
}

// wait waits until it is time for the next batch.
func (y *yield) wait(ctx context.Context, commits []replication.Commit) error {
	left := time.Until(y.rested)
	if left <= 0 || !late(commits) {
		return nil
	}
	select {
	case <-time.After(left):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ask finds out what the application does, where it is worth asking again. Without an answer it is not busy.
func (y *yield) ask(ctx context.Context, commits []replication.Commit, count func(context.Context) (int64, error)) {
	since := time.Since(y.asked)
	if since < writesEvery || !late(commits) {
		return
	}
	writes, err := count(ctx)
	// Old figures say nothing about the present.
	y.busy = err == nil && since < writesHold && float64(writes-y.writes) >= busyRows*since.Seconds()
	y.asked, y.writes = time.Now(), writes
}

// read notes how long a batch took to be read.
func (y *yield) read(took time.Duration) {
	if y.busy && time.Since(y.asked) < writesHold {
		rest := restShare * float64(took+time.Duration(y.writing.Load()))
		y.rested = time.Now().Add(min(time.Duration(rest), restMost))
	}
}

// late reports whether the commits are of a backlog, and not of one that has to be worked off at any price.
func late(commits []replication.Commit) bool {
	changes := 0
	for i := range commits {
		changes += len(commits[i].Changes)
	}
	return changes >= manyChanges && time.Since(commits[0].Time) < tooLate
}
