package replication

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/jackc/pglogrepl"
	"golang.org/x/sync/errgroup"

	"attendee-relay/internal/postgres"
)

const (
	// batchChanges bounds what is recorded in one transaction, as the queue weighs it: 250 commits of one change each.
	batchChanges = 1_000
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

var errSlowRecording = errors.New("recording commits took too long")

// record takes the items that receive has queued, in order, and has the Recorder store them. While one batch is stored
// the next is prepared.
type record struct {
	recorder   Recorder
	reconciler Reconciler
	queue      *queue
	// reconciled are the files under the table for which ledger and table agree.
	reconciled *atomic.Pointer[string]
	recorded   *atomic.Uint64
	lag        lag
	advanced   time.Time
	tasks      *tasks
}

// batch is what is recorded at once.
type batch struct {
	weight  int64
	commits []Commit
	// position is what is recorded up to where nothing is left to record; urgent: the server waits for it.
	position pglogrepl.LSN
	urgent   bool
	unseen   *difference
	// recording stores the commits; nil: there are none.
	recording Recording
	// stored is closed when all is.
	stored chan struct{}
}

// run works until the context ends or the Recorder fails. A batch that is being stored when the context ends is
// finished.
func (r *record) run(ctx context.Context) error {
	if err := r.resume(ctx); err != nil {
		return err
	}
	prepared := make(chan *batch)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return r.prepare(ctx, prepared) })
	group.Go(func() error { return r.store(ctx, prepared) })
	return group.Wait()
}

func (r *record) resume(ctx context.Context) error {
	r.tasks.storing.Begin()
	defer r.tasks.storing.End(nil)
	return r.recorder.Resume(ctx)
}

func (r *record) prepare(ctx context.Context, prepared chan<- *batch) error {
	for {
		items, err := r.queue.batch(ctx, batchChanges)
		if err != nil {
			return err
		}
		b := newBatch(items)
		if len(b.commits) > 0 {
			r.lag.add(b.commits)
			if b.recording, err = r.prepareCommits(ctx, b.commits); err != nil {
				r.tasks.tripped(b.reach())
				return err
			}
		}
		select {
		case prepared <- b:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if b.unseen != nil { // what it changes comes before what is read next
			select {
			case <-b.stored:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
}

func (r *record) prepareCommits(ctx context.Context, commits []Commit) (Recording, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, recordTimeout, errSlowRecording)
	defer cancel()
	r.tasks.preparing.Begin()
	defer r.tasks.preparing.End(nil)
	return r.recorder.Prepare(ctx, commits)
}

func newBatch(items []item) *batch {
	b := &batch{stored: make(chan struct{})}
	for _, it := range items {
		b.weight += it.weight()
		switch {
		case it.unseen != nil:
			b.unseen = it.unseen // the watch hands one on at a time
		case it.commit == nil:
			b.position, b.urgent = max(b.position, it.advance), b.urgent || it.urgent
		default:
			b.commits = append(b.commits, *it.commit)
		}
	}
	return b
}

func (r *record) store(ctx context.Context, prepared <-chan *batch) error {
	for {
		select {
		case b := <-prepared:
			r.tasks.storing.Begin()
			err := r.storeBatch(ctx, b)
			r.tasks.storing.End(nil)
			if err != nil {
				r.tasks.tripped(b.reach())
				return err
			}
			r.tasks.reached(b.reach())
			close(b.stored)
			r.queue.release(b.weight)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (r *record) storeBatch(ctx context.Context, b *batch) error {
	ctx, cancel := outlasting(ctx)
	defer cancel()
	if b.recording != nil {
		if err := b.recording(ctx); err != nil {
			return err
		}
		r.lag.remove()
		for i := range b.commits {
			r.raise(b.commits[i].EndLSN)
		}
	}
	if b.unseen != nil {
		done, err := r.reconciler.Reconcile(ctx, b.unseen.look)
		if err != nil {
			return err
		}
		if done {
			r.reconciled.Store(&b.unseen.files)
		}
	}
	return r.advance(ctx, b.position, b.urgent)
}

// outlasting returns a context that ends after recordTimeout, or a grace after stopping has ended.
func outlasting(stopping context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(stopping), recordTimeout, errSlowRecording)
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
	return ctx, func() {
		forget()
		cancel()
	}
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
