package outbox

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/postgres"
)

var (
	//go:embed sql/resolve_control.sql
	resolveControlSQL string
	//go:embed sql/resolve_again.sql
	resolveAgainSQL string
)

const (
	// brokenAfter is how many keys must fail before a query that never worked is taken to fail for all.
	brokenAfter = 3
	// controlKeys is for how many keys that worked before a query is tried that fails for others.
	controlKeys = 3
	// lockNotAvailable is the SQLSTATE of a lock that was not had in time.
	lockNotAvailable = "55P03"
	// judgeAgain is how soon a fault of the query is looked at again.
	judgeAgain = 5 * time.Second
)

// verdict is what is known of the payload query. It belongs to the Resolver's goroutine.
type verdict struct {
	// shown is the fault on the board; nil: none.
	shown *fault.Fault
	// at is when the query was judged last. due: an evaluation has failed since.
	at  time.Time
	due bool
}

// judge keeps on the fault board what is true of the payload query: that it cannot be run at all (it is invalid, or a
// right is missing), or how many acceptances wait for an error of it.
func (v *Resolver) judge(ctx context.Context) error {
	if !v.verdict.due && v.verdict.shown == nil && time.Since(v.verdict.at) < resolveAtLeast {
		return nil
	}
	f, err := v.unusable(ctx)
	if err == nil && f == nil {
		f, err = v.failing(ctx)
	}
	if err != nil {
		return err
	}
	v.verdict.at, v.verdict.due = time.Now(), false
	return v.show(ctx, f)
}

// judgesNow reports whether to judge the query before more is evaluated.
func (v *Resolver) judgesNow() bool {
	since := time.Since(v.verdict.at)
	return v.apart != nil && (since >= v.nextJudgement() || v.verdict.due && since >= judgeAgain)
}

// nextJudgement returns how long it is at most until the query is judged again.
func (v *Resolver) nextJudgement() time.Duration {
	if v.verdict.shown != nil {
		return judgeAgain
	}
	return resolveAtLeast
}

// forget takes the fault off the board: it is the leader's to show.
func (v *Resolver) forget() {
	if v.verdict.shown != nil {
		v.recorder.board.Clear(v.verdict.shown.Code)
	}
	v.verdict = verdict{}
}

// show puts a fault on the board in place of the one that was there; nil: there is none. When rendering as a whole
// works again, what failed is evaluated at once.
func (v *Resolver) show(ctx context.Context, f *fault.Fault) error {
	board, was := v.recorder.board, v.verdict.shown
	for _, code := range []fault.Code{fault.QueryInvalid, fault.QueryFailing} {
		if f == nil || code != f.Code {
			board.Clear(code)
		}
	}
	v.verdict.shown = f
	if f != nil {
		board.Raise(f)
		if was == nil || was.Code != f.Code || was.Partial != f.Partial {
			v.log.Error("acceptances wait for the payload query", zap.String("fault", string(f.Code)),
				zap.String("reason", f.Message), zap.Bool("all", !f.Partial))
		}
	} else if was != nil {
		v.log.Info("no acceptance waits for an error of the payload query any more")
	}
	if was == nil || was.Partial || f != nil && !f.Partial {
		return nil
	}
	defer v.Nudge()
	return v.recorder.writer.within(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, resolveAgainSQL, failingLimit)
		return err
	})
}

// unusable returns why the query cannot be run for any key; nil: it can be.
func (v *Resolver) unusable(ctx context.Context) (*fault.Fault, error) {
	v.reader.turn <- struct{}{}
	defer func() { <-v.reader.turn }()
	ctx, cancel := bounded(ctx, v.recorder.config.QueryTimeout)
	defer cancel()
	err := v.reader.check(ctx, v.recorder.config.QueryTimeout)
	if f := (*fault.Fault)(nil); errors.As(err, &f) {
		return whileRunning(f), nil
	}
	if err != nil {
		return nil, fmt.Errorf("checking the payload query: %w", err)
	}
	return nil, nil //nolint:nilnil // no fault is no error
}

// whileRunning is a fault of the query as a relay shows it that has begun to stream: a missing right, too, stops
// rendering only.
func whileRunning(f *fault.Fault) *fault.Fault {
	if f.Code == fault.QueryInvalid {
		return f
	}
	return fault.New(fault.QueryFailing, "%s", f.Message).WithFix(f.Fix)
}

// failing returns the fault for acceptances that wait for an error; nil: there are none.
func (v *Resolver) failing(ctx context.Context) (*fault.Fault, error) {
	var failing failures
	var works [][]byte
	err := v.ask(ctx, func(ctx context.Context) (err error) {
		if failing, err = readFailures(ctx, v.reader.conn); err != nil || failing.acceptances == 0 {
			return err
		}
		rows, err := v.reader.conn.Query(ctx, resolveControlSQL, controlKeys)
		if err == nil {
			works, err = pgx.CollectRows(rows, pgx.RowTo[[]byte])
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("counting the acceptances that wait for an error: %w", err)
	}
	if failing.acceptances == 0 {
		v.recorder.broken.Store(false)
		return nil, nil //nolint:nilnil // no fault is no error
	}
	all, err := v.failsForEveryKey(ctx, works, failing.keys)
	f := failing.fault()
	if strings.Contains(failing.first, lockNotAvailable) {
		if holder := v.recorder.board.Holders(ctx); holder != "" {
			f.Message += "; " + holder
		}
	}
	if !all {
		f = f.Partially()
	}
	return f, err
}

// failsForEveryKey tells a broken query from one that fails for single keys, by trying it for keys that it worked
// for.
func (v *Resolver) failsForEveryKey(ctx context.Context, works [][]byte, failing int) (bool, error) {
	if v.recorder.broken.Load() {
		return true, nil
	}
	if time.Since(time.Unix(0, v.recorder.workedAt.Load())) < judgeAgain {
		return false, nil
	}
	for _, key := range works {
		key := string(key)
		_, err := v.query(ctx, []*due{{acceptance: acceptance{place: &place{key: &key}}}}, v.recorder.config.QueryTimeout)
		switch {
		case err == nil:
			v.queryWorks()
			return false, nil
		case postgres.Unreachable(err) || ctx.Err() != nil:
			return false, err
		}
	}
	return len(works) > 0 || failing >= brokenAfter, nil
}

// ask asks the database over the Resolver's connection, when it is its turn.
func (v *Resolver) ask(ctx context.Context, question func(context.Context) error) error {
	v.reader.turn <- struct{}{}
	defer func() { <-v.reader.turn }()
	ctx, cancel := bounded(ctx, 0)
	defer cancel()
	if err := v.reader.connect(ctx); err != nil {
		return err
	}
	return question(ctx)
}

// queryBroke notes, and shows at once, that the query failed for a reason that is not about a key.
func (r *Recorder) queryBroke(err error) {
	r.broken.Store(true)
	var f *fault.Fault
	if !errors.As(err, &f) {
		f = fault.New(fault.QueryFailing, "%s", failure(err)).
			WithFix("correct the payload query, or the rows it reads; the acceptances wait")
	}
	r.board.Raise(whileRunning(f))
}

// queryWorked notes that the query gave an answer. Which keys it still fails for is the Resolver's to say.
func (r *Recorder) queryWorked() {
	r.workedAt.Store(time.Now().UnixNano())
	if r.broken.Swap(false) {
		r.signal(false, true)
	}
}
