package outbox

import (
	"context"
	_ "embed"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"attendee-relay/replication"
)

//go:embed sql/application_writes.sql
var applicationWritesSQL string

const (
	// manyChanges in a batch mean that capture has fallen behind.
	manyChanges = 200
	// busyRows is how many rows a second an application writes that is busy; it is asked for no more often than writesEvery, since
	// Postgres counts with a second's delay (PGSTAT_MIN_INTERVAL, PostgreSQL 15).
	busyRows    = 100
	writesEvery = time.Second
	// restShare is how long capture rests, in terms of the time that it reads and writes.
	restShare = 2.5
)

// yield has capture that works off a backlog rest between two batches while the application is busy: what comes late already may come a
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
	if left <= 0 || !many(commits) {
		return nil
	}
	select {
	case <-time.After(left):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ask queues the question what the application does, where it is worth asking again.
func (y *yield) ask(q *pgx.Batch, commits []replication.Commit) {
	since := time.Since(y.asked)
	if since < writesEvery || !many(commits) {
		return
	}
	q.Queue(applicationWritesSQL).QueryRow(func(row pgx.Row) error {
		var writes int64
		if err := row.Scan(&writes); err != nil {
			return err
		}
		// What was long ago says nothing of now.
		y.busy = since < 5*writesEvery && float64(writes-y.writes) >= busyRows*since.Seconds()
		y.asked, y.writes = time.Now(), writes
		return nil
	})
}

// read notes how long a batch took to be read.
func (y *yield) read(took time.Duration) {
	if y.busy {
		y.rested = time.Now().Add(time.Duration(restShare * float64(took+time.Duration(y.writing.Load()))))
	}
}

func many(commits []replication.Commit) bool {
	changes := 0
	for i := range commits {
		changes += len(commits[i].Changes)
	}
	return changes >= manyChanges
}
