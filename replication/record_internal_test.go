package replication

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
)

// slowRecorder takes a second to prepare and a second to store, and notes when each has begun and ended.
type slowRecorder struct {
	began            time.Time
	prepared, stored []time.Duration
	reconciled       time.Duration
	fails            error
}

func (r *slowRecorder) now() time.Duration { return time.Since(r.began) }

func (r *slowRecorder) Resume(context.Context) error { return nil }

func (r *slowRecorder) Advance(context.Context, pglogrepl.LSN) error { return nil }

func (r *slowRecorder) Prepare(context.Context, []Commit) (Recording, error) {
	r.prepared = append(r.prepared, r.now())
	time.Sleep(time.Second)
	return func(context.Context) error {
		time.Sleep(time.Second)
		r.stored = append(r.stored, r.now())
		return r.fails
	}, nil
}

func (r *slowRecorder) Compare(context.Context, *pgx.Conn) (int64, int, error) { return 0, 0, nil }

func (r *slowRecorder) Reconcile(context.Context, int64) (bool, error) {
	time.Sleep(time.Second)
	r.reconciled = r.now()
	return true, nil
}

// recordEach has each of the items recorded as a batch of its own, until all are, and returns the error that recording
// ended with.
func recordEach(t *testing.T, r *slowRecorder, items ...item) (*record, error) {
	t.Helper()
	rec := &record{recorder: r, reconciler: r, queue: newQueue(), reconciled: &atomic.Pointer[string]{},
		recorded: &atomic.Uint64{}, lag: lag{oldest: &atomic.Int64{}}, tasks: &tasks{}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	r.began = time.Now()
	go func() { ended <- rec.run(ctx) }()
	for _, it := range items {
		if _, err := rec.queue.put(ctx, it, time.Second); err != nil {
			t.Error(err)
		}
		synctest.Wait()
	}
	time.Sleep(time.Minute)
	cancel()
	return rec, <-ended
}

// commitOf is a commit that is never late.
func commitOf(end int) item {
	return item{commit: &Commit{EndLSN: pglogrepl.LSN(end), Time: committed(end)}}
}

func committed(end int) time.Time { return time.Date(2200, 1, 1, 0, 0, end, 0, time.UTC) }

func seconds(list ...int) (durations []time.Duration) {
	for _, s := range list {
		durations = append(durations, time.Duration(s)*time.Second)
	}
	return durations
}

// While a batch is stored the next is prepared, and no more than that.
func TestTheNextBatchIsPreparedMeanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &slowRecorder{}
		rec, err := recordEach(t, r, commitOf(1), commitOf(2), commitOf(3))
		if !errors.Is(err, context.Canceled) || rec.recorded.Load() != 3 || rec.lag.oldest.Load() != 0 {
			t.Errorf("it ended with %v; recorded up to %d, the oldest unrecorded is of %d", err, rec.recorded.Load(),
				rec.lag.oldest.Load())
		}
		// The third is in one batch with the second.
		if !slices.Equal(r.prepared, seconds(0, 1)) || !slices.Equal(r.stored, seconds(2, 3)) {
			t.Errorf("prepared at %v, stored at %v", r.prepared, r.stored)
		}
	})
}

// What a reconciliation changes is there before what comes after it is read.
func TestNothingIsPreparedBesideAReconciliation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &slowRecorder{}
		if _, err := recordEach(t, r, item{unseen: &difference{}}, commitOf(1)); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if r.reconciled != time.Second || !slices.Equal(r.prepared, seconds(1)) {
			t.Errorf("reconciled at %v, prepared at %v", r.reconciled, r.prepared)
		}
	})
}

// What was prepared behind one that could not be stored is not stored either.
func TestAFailureDropsWhatIsPrepared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &slowRecorder{fails: errors.New("the disk is full")}
		rec, err := recordEach(t, r, commitOf(1), commitOf(2))
		if !errors.Is(err, r.fails) || len(r.stored) != 1 || rec.recorded.Load() != 0 ||
			rec.lag.oldest.Load() != committed(1).UnixNano() {
			t.Errorf("it ended with %v; %d were stored, recorded up to %d, the oldest unrecorded is of %d", err, len(r.stored),
				rec.recorded.Load(), rec.lag.oldest.Load())
		}
	})
}
