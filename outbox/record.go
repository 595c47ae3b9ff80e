package outbox

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/postgres"
	"attendee-relay/replication"
)

// Prepare implements replication.Recorder.
func (r *Recorder) Prepare(ctx context.Context, commits []replication.Commit) (replication.Recording, error) {
	if !slices.ContainsFunc(commits, func(c replication.Commit) bool { return large(&c) }) {
		return r.prepare(ctx, commits)
	}
	ahead := r.setAhead(nil)
	return func(ctx context.Context) error {
		defer ahead.end()
		return r.record(ctx, commits)
	}, nil
}

// record prepares and stores commits of which some are large, each after those before it.
func (r *Recorder) record(ctx context.Context, commits []replication.Commit) error {
	for len(commits) > 0 {
		if large(&commits[0]) {
			if err := r.spool(ctx, &commits[0]); err != nil {
				return err
			}
			commits = commits[1:]
			continue
		}
		n := 1
		for n < len(commits) && !large(&commits[n]) {
			n++
		}
		b, err := r.read(ctx, commits[:n], newPrior(commits[:n]))
		if err == nil {
			err = r.store(ctx, b)
		}
		if err != nil {
			return err
		}
		commits = commits[n:]
	}
	return nil
}

// large reports whether a transaction is recorded by way of the spool: it does not fit into memory, or it empties the
// table and may so change every row of the ledger.
func large(c *replication.Commit) bool {
	if c.More || c.Part > 0 {
		return true
	}
	for _, change := range c.Changes {
		if change.Op == replication.Truncate {
			return true
		}
	}
	return false
}

// Advance implements replication.Recorder.
func (r *Recorder) Advance(ctx context.Context, to pglogrepl.LSN) error {
	return r.writer.write(ctx, to, func(*pgx.Batch) {})
}

// prepare reads what commits that fit into memory come to, of which one transaction is made.
func (r *Recorder) prepare(ctx context.Context, commits []replication.Commit) (replication.Recording, error) {
	if err := r.yield.wait(ctx, commits); err != nil {
		return nil, err
	}
	prior := newPrior(commits)
	if err := r.ahead.await(ctx, prior.identities); err != nil {
		return nil, err
	}
	r.yield.ask(ctx, commits, r.reader.applicationWrites)
	began := time.Now()
	b, err := r.read(ctx, commits, prior)
	if err != nil {
		return nil, err
	}
	r.yield.read(time.Since(began))
	ahead := r.setAhead(b)
	return func(ctx context.Context) error {
		defer ahead.end()
		began := time.Now()
		err := r.store(ctx, b)
		r.yield.writing.Store(int64(time.Since(began)))
		return err
	}, nil
}

// read takes a snapshot that shows the commits, and finds out in it what they come to.
func (r *Recorder) read(ctx context.Context, commits []replication.Commit, prior *prior) (b *batch, err error) {
	err = r.whenVisible(ctx, commits, prior.ask, func() error {
		b, err = r.evaluate(ctx, commits, prior)
		return err
	})
	return b, err
}

// store stores a batch and tells of it.
func (r *Recorder) store(ctx context.Context, b *batch) error {
	left, err := r.write(ctx, b, true)
	if postgres.Code(err) == uniqueViolation {
		left, err = r.write(ctx, b, false)
	}
	var refused error
	if unstorable(err) && len(b.messages.rendered) > 0 {
		refused = fmt.Errorf("the database refuses a batch of messages, and their acceptances wait for smaller ones: %w", err)
		b.postpone()
		left, err = r.write(ctx, b, false)
	}
	if err != nil {
		return err
	}
	r.name(b.identities, false)
	r.acceptances.Add(float64(b.accepted))
	r.signal(left, len(b.waiting) > 0 || len(b.touched) > 0)
	// A batch prepared meanwhile does not know that these wait: it is dropped, and read again.
	return refused
}

// unstorable reports whether an error is about what was to be written: a value that cannot be, a constraint, or a
// limit (SQLSTATE classes 22, 23 and 54).
func unstorable(err error) bool { return badData(err) || strings.HasPrefix(postgres.Code(err), "54") }

// write stores a batch, and sends those of its messages that can be sent at once. plain: the bookkeeping has none of
// its rows yet.
func (r *Recorder) write(ctx context.Context, b *batch, plain bool) (left bool, err error) {
	sending := r.handOver(&b.messages)
	err = r.writer.write(ctx, b.end, func(q *pgx.Batch) {
		b.write(q, plain)
		sending.queue(q, plain)
	})
	return sending.settle(err), err
}

func (r *Recorder) signal(messages, waiting bool) {
	if messages {
		r.signals.Messages()
	}
	if waiting {
		r.signals.Waiting()
	}
}

// whenVisible calls read in a snapshot that shows all of the commits, and in which ask has asked. The stream runs ahead
// of what other sessions see, for as long as a synchronous standby lags: until then nothing is recorded and nothing is
// confirmed.
func (r *Recorder) whenVisible(ctx context.Context, commits []replication.Commit, ask func(*pgx.Batch),
	read func() error) error {
	wait, started := time.Millisecond, time.Now()
	for {
		visible := false
		err := r.reader.in(ctx, ask, func(taken snapshot) error {
			for i := range commits {
				if !taken.sees(commits[i].XID) {
					return nil
				}
			}
			visible = true
			return read()
		})
		if err != nil || visible {
			return err
		}
		if time.Since(started) > time.Second && wait < 100*time.Millisecond {
			r.log.Warn("the stream is ahead of what other sessions see: waiting",
				zap.Stringer("commit_lsn", commits[0].CommitLSN))
		}
		r.board.Progress(fault.CaptureFailing) // a standby is waited for, which is no fault
		select {
		case <-time.After(wait):
			wait = min(2*wait, 100*time.Millisecond)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// inBaseline reports whether the baseline's snapshot shows the commit already: a slot that was there before the first
// start repeats such transactions.
func (r *Recorder) inBaseline(c *replication.Commit) bool {
	return c.EndLSN <= r.seenUntil && r.seen.sees(c.XID)
}
