package outbox

import (
	"context"
	_ "embed"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/postgres"
)

var (
	//go:embed sql/spool_state.sql
	spoolStateSQL string
	//go:embed sql/spool_next.sql
	spoolNextSQL string
	//go:embed sql/spool_truncate.sql
	spoolTruncateSQL string
	//go:embed sql/spool_remove.sql
	spoolRemoveSQL string
	//go:embed sql/spool_empty_ledger.sql
	spoolEmptyLedgerSQL string
	//go:embed sql/spool_follow_next.sql
	spoolFollowNextSQL string
	//go:embed sql/spool_follow.sql
	spoolFollowSQL string
	//go:embed sql/spool_record.sql
	spoolRecordSQL string
	//go:embed sql/spool_step.sql
	spoolStepSQL string
	//go:embed sql/spool_empty.sql
	spoolEmptySQL string
	//go:embed sql/spool_done.sql
	spoolDoneSQL string
)

// spoolStep is what is being done with a complete spool. The steps follow each other, each in transactions of bounded
// size, and are taken up again after a crash.
type spoolStep string

const (
	// spoolRemove: the rows leave the ledger under the identity they had before. Those that a TRUNCATE took are marked.
	spoolRemove spoolStep = "remove"
	// spoolEmptyLedger: after a TRUNCATE, the ledger's rows that the transaction does not name leave it for the spool.
	spoolEmptyLedger spoolStep = "empty_ledger"
	// spoolSucceed: inserted rows take the place of the deleted ones that they continue.
	spoolSucceed spoolStep = "succeed"
	// spoolFollow: acceptances that wait follow their rows. Until then the Resolver leaves them alone, for it would take
	// what a row's old key gives now, or the row for lost.
	spoolFollow spoolStep = "follow"
	// spoolAdd: the accepted rows enter the ledger, and acceptances are written.
	spoolAdd spoolStep = "add"
	// spoolClear: everything is recorded; the spool is emptied.
	spoolClear spoolStep = "clear"
)

// clearBatch is how many rows of the spool are deleted in one transaction.
const clearBatch = 50_000

// spoolBatch is how many rows one step's transaction handles, unless a test changes it: about half a second's work, for
// the Resolver waits as long.
const spoolBatch = 20_000

// spoolState is how far a complete spool has been applied.
type spoolState struct {
	step spoolStep
	// cursor is the last row that the step has handled: its number in the spool, or an acceptance's id.
	cursor int64
	// truncated is the seq of the transaction's last TRUNCATE; nil: there was none.
	truncated *int64
}

// after is the step that follows this one.
func (s *spoolState) after() spoolStep {
	switch s.step {
	case spoolRemove:
		if s.truncated != nil {
			return spoolEmptyLedger
		}
		return spoolSucceed
	case spoolEmptyLedger:
		return spoolSucceed
	case spoolSucceed:
		return spoolFollow
	case spoolFollow:
		return spoolAdd
	default:
		return spoolClear
	}
}

// Resume implements replication.Recorder: a spool that was complete when its leader went away is applied to its end.
func (r *Recorder) Resume(ctx context.Context) error {
	r.ahead = nil
	return r.applySpool(ctx)
}

// applySpool applies a complete spool, if there is one, before anything later is recorded. Acceptances that waited
// before are evaluated when they have followed their rows, its own when it is applied.
func (r *Recorder) applySpool(ctx context.Context) error {
	for last := spoolStep(""); ; {
		step, accepted, err := r.applySpoolBatch(ctx)
		if err != nil {
			return fmt.Errorf("applying a large transaction from the spool: %w", err)
		}
		r.board.Progress(fault.CaptureFailing)
		r.acceptances.Add(float64(accepted))
		if step != last && (last == spoolFollow || last == spoolClear) {
			r.signal(false, true)
		}
		if step == "" {
			return nil
		}
		r.name(nil, true)
		last = step
	}
}

// applySpoolBatch does one transaction's share of the step that the spool is at; the step is empty when there is no
// spool.
func (r *Recorder) applySpoolBatch(ctx context.Context) (step spoolStep, accepted int64, err error) {
	err = r.writer.within(ctx, func(tx pgx.Tx) error {
		state, err := readSpoolState(ctx, tx)
		if err != nil || state == nil {
			return err
		}
		step = state.step
		switch step {
		case spoolEmptyLedger:
			return r.emptyLedger(ctx, tx, state)
		case spoolClear:
			return endSpool(ctx, tx)
		default:
			accepted, err = r.applyStretch(ctx, tx, state)
			return err
		}
	})
	return step, accepted, err
}

func readSpoolState(ctx context.Context, tx pgx.Tx) (*spoolState, error) {
	var s spoolState
	err := tx.QueryRow(ctx, spoolStateSQL).Scan(&s.step, &s.cursor, &s.truncated)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return &s, err
}

// applyStretch does a step for the next rows of the spool, or of the acceptances, and moves the cursor past them; after
// the last of them comes the next step.
func (r *Recorder) applyStretch(ctx context.Context, tx pgx.Tx, state *spoolState) (accepted int64, err error) {
	next := spoolNextSQL
	if state.step == spoolFollow {
		next = spoolFollowNextSQL
	}
	var end *int64
	if err := tx.QueryRow(ctx, next, state.cursor, r.spoolBatch).Scan(&end); err != nil {
		return 0, err
	}
	if end == nil {
		return 0, moveTo(ctx, tx, state.after(), 0)
	}
	switch after, until := state.cursor, *end; state.step {
	case spoolRemove:
		err = removeSpooled(ctx, tx, state, until)
	case spoolSucceed:
		err = succeedSpooled(ctx, tx, after, until)
	case spoolFollow:
		_, err = tx.Exec(ctx, spoolFollowSQL, after, until)
	default:
		var recorded pgconn.CommandTag
		recorded, err = tx.Exec(ctx, spoolRecordSQL, after, until, interval(r.config.Settle))
		accepted = recorded.RowsAffected()
	}
	if err != nil {
		return 0, err
	}
	return accepted, moveTo(ctx, tx, state.step, *end)
}

func moveTo(ctx context.Context, tx pgx.Tx, step spoolStep, cursor int64) error {
	_, err := tx.Exec(ctx, spoolStepSQL, string(step), cursor)
	return err
}

func removeSpooled(ctx context.Context, tx pgx.Tx, state *spoolState, until int64) error {
	if state.truncated != nil {
		if _, err := tx.Exec(ctx, spoolTruncateSQL, state.cursor, until, *state.truncated); err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, spoolRemoveSQL, state.cursor, until)
	return err
}

func (r *Recorder) emptyLedger(ctx context.Context, tx pgx.Tx, state *spoolState) error {
	moved, err := tx.Exec(ctx, spoolEmptyLedgerSQL, r.spoolBatch)
	if err != nil || moved.RowsAffected() > 0 {
		return err
	}
	return moveTo(ctx, tx, state.after(), 0)
}

// endSpool empties the spool: at once, unless somebody reads it (a pg_dump, a vacuum), and then bit by bit.
func endSpool(ctx context.Context, tx pgx.Tx) error {
	err := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '100ms'"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, spoolEmptySQL)
		return err
	})
	if postgres.Code(err) == "55P03" {
		var cleared int64
		if cleared, err = clearSome(ctx, tx); err == nil && cleared > 0 {
			return nil
		}
	}
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, spoolDoneSQL)
	return err
}
