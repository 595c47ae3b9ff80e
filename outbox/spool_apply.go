package outbox

import (
	"context"
	_ "embed"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/postgres"
)

var (
	//go:embed sql/spool_state.sql
	spoolStateSQL string
	//go:embed sql/spool_empty_ledger.sql
	spoolEmptyLedgerSQL string
	//go:embed sql/spool_remove.sql
	spoolRemoveSQL string
	//go:embed sql/spool_next.sql
	spoolNextSQL string
	//go:embed sql/spool_arrived.sql
	spoolArrivedSQL string
	//go:embed sql/spool_departed.sql
	spoolDepartedSQL string
	//go:embed sql/spool_step.sql
	spoolStepSQL string
	//go:embed sql/spool_record.sql
	spoolRecordSQL string
	//go:embed sql/spool_succeed.sql
	spoolSucceedSQL string
	//go:embed sql/spool_used.sql
	spoolUsedSQL string
	//go:embed sql/spool_empty.sql
	spoolEmptySQL string
	//go:embed sql/spool_done.sql
	spoolDoneSQL string
)

// spoolStep is what is being done with a complete spool. The steps follow each other, each in transactions of bounded
// size, and are taken up again after a crash.
type spoolStep string

const (
	// spoolEmptyLedger: after a TRUNCATE, the ledger's rows that the transaction does not name leave it for the spool.
	spoolEmptyLedger spoolStep = "empty_ledger"
	// spoolRemove: the rows leave the ledger under the identity they had before.
	spoolRemove spoolStep = "remove"
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
	step   spoolStep
	cursor int64
}

// Resume implements replication.Recorder: a spool that was complete when its leader went away is applied to its end.
func (r *Recorder) Resume(ctx context.Context) error { return r.applySpool(ctx) }

// applySpool applies a complete spool, if there is one, before anything later is recorded. Its acceptances are evaluated
// when it is applied.
func (r *Recorder) applySpool(ctx context.Context) error {
	for applied := false; ; applied = true {
		accepted, more, err := r.applySpoolBatch(ctx)
		if err != nil {
			return fmt.Errorf("applying a large transaction from the spool: %w", err)
		}
		r.acceptances.Add(float64(accepted))
		if !more {
			r.signal(false, applied)
			return nil
		}
		r.name(nil, true)
	}
}

func (r *Recorder) applySpoolBatch(ctx context.Context) (accepted int64, more bool, err error) {
	err = r.writer.within(ctx, 0, func(tx pgx.Tx) error {
		state, err := readSpoolState(ctx, tx)
		if err != nil || state == nil {
			return err
		}
		more = true
		switch state.step {
		case spoolEmptyLedger:
			return r.emptyLedger(ctx, tx)
		case spoolRemove:
			_, err = tx.Exec(ctx, spoolRemoveSQL, state.cursor, r.spoolBatch)
			return err
		case spoolClear:
			return endSpool(ctx, tx)
		default:
			accepted, err = r.addSpooled(ctx, tx, state)
			return err
		}
	})
	return accepted, more, err
}

func readSpoolState(ctx context.Context, tx pgx.Tx) (*spoolState, error) {
	var s spoolState
	err := tx.QueryRow(ctx, spoolStateSQL).Scan(&s.step, &s.cursor)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return &s, err
}

func (r *Recorder) emptyLedger(ctx context.Context, tx pgx.Tx) error {
	moved, err := tx.Exec(ctx, spoolEmptyLedgerSQL, r.spoolBatch)
	if err != nil || moved.RowsAffected() > 0 {
		return err
	}
	_, err = tx.Exec(ctx, spoolStepSQL, string(spoolRemove), 0)
	return err
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

// addSpooled records the next rows with one statement. Only rows that may continue deleted ones are looked at here.
func (r *Recorder) addSpooled(ctx context.Context, tx pgx.Tx, state *spoolState) (accepted int64, err error) {
	if state.cursor == 0 {
		// Statistics of an earlier transaction would have every row compared with every other one.
		if _, err := tx.Exec(ctx, "ANALYZE (SKIP_LOCKED) attendee_relay.spool"); err != nil {
			return 0, err
		}
	}
	var until *int64
	if err := tx.QueryRow(ctx, spoolNextSQL, state.cursor, r.spoolBatch).Scan(&until); err != nil {
		return 0, err
	}
	if until == nil {
		_, err = tx.Exec(ctx, spoolStepSQL, string(spoolClear), 0)
		return 0, err
	}
	c, err := readContinued(ctx, tx, state.cursor, *until)
	if err != nil {
		return 0, err
	}
	recorded, err := tx.Exec(ctx, spoolRecordSQL, state.cursor, *until, c.numbers, c.lsns, interval(r.config.Settle))
	if err != nil {
		return 0, err
	}
	q := &pgx.Batch{}
	if len(c.numbers) > 0 {
		q.Queue(spoolSucceedSQL, c.identities, c.successors, c.keys)
		q.Queue(spoolUsedSQL, c.used)
	}
	q.Queue(spoolStepSQL, string(spoolAdd), *until)
	return recorded.RowsAffected(), tx.SendBatch(ctx, q).Close()
}

// continued are inserted rows that continue deleted ones, as the arrays that statements take.
type continued struct {
	numbers []int64
	lsns    []*string
	// used are the deleted rows; identities what they were deleted under, successors and keys what they are now.
	used                   []int64
	identities, successors []string
	keys                   []*string
}

// readContinued finds the rows of a stretch of the spool that continue deleted ones.
func readContinued(ctx context.Context, tx pgx.Tx, after, until int64) (*continued, error) {
	c := &continued{}
	arrived, err := readSpooled(ctx, tx, spoolArrivedSQL, after, until)
	if err != nil || len(arrived) == 0 {
		return c, err
	}
	keys := make([]string, len(arrived))
	for i, row := range arrived {
		keys[i] = row.key.Text
	}
	gone, err := readSpooled(ctx, tx, spoolDepartedSQL, keys)
	if err != nil {
		return c, err
	}
	left := departed(gone)
	for _, row := range arrived {
		if after, accepts := row.settle(left); !accepts {
			c.numbers, c.lsns = append(c.numbers, row.number), append(c.lsns, lsnText(after.lsn))
		}
	}
	for _, row := range gone {
		if row.successor != nil {
			c.used, c.identities = append(c.used, row.number), append(c.identities, row.identity)
			c.successors, c.keys = append(c.successors, row.successor.identity), append(c.keys, row.successor.keyAfter())
		}
	}
	return c, nil
}
