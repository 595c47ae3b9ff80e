package replication

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/jackc/pglogrepl"

	"attendee-relay/internal/postgres"
)

const (
	// batchChanges bounds what is recorded in one transaction, as the queue weighs it: five hundred commits of one change each.
	batchChanges = 2_000
	// recordTimeout bounds one call of the Recorder.
	recordTimeout = 5 * time.Minute
	// stopGrace is how long what is being recorded may take to finish when capture is told to stop. A commit that a
	// synchronous standby holds back could take for ever; it is read again. When the server cannot be reached there is no
	// grace: standing still would only hide that.
	stopGrace = 5 * time.Second
	// advanceBytes and advanceEvery say when a position without anything to record is worth a write: each write is WAL
	// itself, and storing every keepalive's position would feed itself.
	advanceBytes = 1 << 20
	advanceEvery = 10 * time.Second
	advanceLeast = 4 << 10
)

// record takes what receive queued, in order, and gives it to the Recorder.
type record struct {
	recorder   Recorder
	reconciler Reconciler
	queue      *queue
	// reconciled are the files under the table for which ledger and table agree.
	reconciled *atomic.Pointer[string]
	recorded   *atomic.Uint64
	// oldest is when the oldest commit not yet recorded was committed, in Unix nanoseconds; 0: there is none.
	oldest   *atomic.Int64
	advanced time.Time
}

// run works until the context ends or the Recorder fails. What it is recording when the context ends is finished.
func (r *record) run(ctx context.Context) error {
	if err := r.recorder.Resume(ctx); err != nil {
		return err
	}
	for {
		items, err := r.queue.batch(ctx, batchChanges)
		if err != nil {
			return err
		}
		if err := r.store(ctx, items); err != nil {
			return err
		}
		var weight int64
		for _, it := range items {
			weight += it.weight()
		}
		r.queue.release(weight)
	}
}

func (r *record) store(ctx context.Context, items []item) error {
	stopping := ctx
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), recordTimeout,
		errors.New("recording commits took too long"))
	defer cancel()
	forget := context.AfterFunc(stopping, func() {
		grace := stopGrace
		if postgres.Unreachable(context.Cause(stopping)) {
			grace = 0
		}
		select {
		case <-time.After(grace):
			cancel()
		case <-ctx.Done():
		}
	})
	defer forget()
	var commits []Commit
	var end, position pglogrepl.LSN
	var unseen *difference
	urgent := false
	for _, it := range items {
		if it.unseen != nil {
			unseen = it.unseen // the watch hands one on at a time
			continue
		}
		if it.commit == nil {
			position, urgent = max(position, it.advance), urgent || it.urgent
			continue
		}
		commits = append(commits, *it.commit)
		end = max(end, it.commit.EndLSN)
	}
	if len(commits) > 0 {
		r.oldest.Store(commits[0].Time.UnixNano())
		if err := r.recorder.Record(ctx, commits); err != nil {
			return err
		}
		r.oldest.Store(0)
		r.raise(end)
	}
	if unseen != nil {
		done, err := r.reconciler.Reconcile(ctx, unseen.look)
		if err != nil {
			return err
		}
		if done {
			r.reconciled.Store(&unseen.files)
		}
	}
	return r.advance(ctx, position, urgent)
}

func (r *record) advance(ctx context.Context, to pglogrepl.LSN, urgent bool) error {
	stored := pglogrepl.LSN(r.recorded.Load())
	if to <= stored {
		return nil
	}
	ahead := to - stored
	due := time.Since(r.advanced) >= advanceEvery && ahead >= advanceLeast
	if !urgent && ahead < advanceBytes && !due {
		return nil
	}
	if err := r.recorder.Advance(ctx, to); err != nil {
		return err
	}
	r.advanced = time.Now()
	r.raise(to)
	return nil
}

func (r *record) raise(to pglogrepl.LSN) {
	if uint64(to) > r.recorded.Load() {
		r.recorded.Store(uint64(to))
	}
}
