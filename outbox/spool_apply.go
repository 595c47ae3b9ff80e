package outbox

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"attendee-relay/replication"
)

var (
	//go:embed sql/spool_state.sql
	spoolStateSQL string
	//go:embed sql/spool_empty_ledger.sql
	spoolEmptyLedgerSQL string
	//go:embed sql/spool_next.sql
	spoolNextSQL string
	//go:embed sql/spool_departed.sql
	spoolDepartedSQL string
	//go:embed sql/spool_step.sql
	spoolStepSQL string
	//go:embed sql/spool_succeed.sql
	spoolSucceedSQL string
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

// spoolBatch is how many rows one step's transaction handles, unless a test changes it.
const spoolBatch = 5_000

// spoolState is how far a complete spool has been applied.
type spoolState struct {
	step   spoolStep
	cursor int64
	lsn    pglogrepl.LSN
	time   time.Time
}

// Resume implements replication.Recorder: a spool that was complete when its leader went away is applied to its end.
func (r *Recorder) Resume(ctx context.Context) error { return r.applySpool(ctx) }

// applySpool applies a complete spool, if there is one, before anything later is recorded.
func (r *Recorder) applySpool(ctx context.Context) error {
	for {
		more, err := r.applySpoolBatch(ctx)
		if err != nil {
			return fmt.Errorf("applying a large transaction from the spool: %w", err)
		}
		if !more {
			return nil
		}
		r.name(nil, true)
	}
}

func (r *Recorder) applySpoolBatch(ctx context.Context) (more bool, err error) {
	accepted := 0
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
			return r.removeSpooled(ctx, tx, state)
		case spoolClear:
			return endSpool(ctx, tx)
		default:
			accepted, err = r.addSpooled(ctx, tx, state)
			return err
		}
	})
	if err == nil && accepted > 0 {
		r.acceptances.Add(float64(accepted))
		r.signal(false, true)
	}
	return more, err
}

func readSpoolState(ctx context.Context, tx pgx.Tx) (*spoolState, error) {
	var s spoolState
	var lsn string
	var at *time.Time
	err := tx.QueryRow(ctx, spoolStateSQL).Scan(&s.step, &s.cursor, &lsn, &at)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if at != nil {
		s.time = *at
	}
	s.lsn, err = pglogrepl.ParseLSN(lsn)
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

func (r *Recorder) removeSpooled(ctx context.Context, tx pgx.Tx, state *spoolState) error {
	rows, err := readSpooled(ctx, tx, spoolNextSQL, state.cursor, r.spoolBatch)
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		_, err = tx.Exec(ctx, spoolStepSQL, string(spoolAdd), 0)
		return err
	}
	var origins []string
	for _, row := range rows {
		if row.before.accepted {
			origins = append(origins, row.origin)
		}
	}
	q := &pgx.Batch{}
	q.Queue(ledgerRemoveSQL, origins)
	q.Queue(spoolStepSQL, string(spoolRemove), rows[len(rows)-1].number)
	return tx.SendBatch(ctx, q).Close()
}

func endSpool(ctx context.Context, tx pgx.Tx) error {
	cleared, err := clearSome(ctx, tx)
	if err != nil || cleared > 0 {
		return err
	}
	_, err = tx.Exec(ctx, spoolDoneSQL)
	return err
}

func (r *Recorder) addSpooled(ctx context.Context, tx pgx.Tx, state *spoolState) (accepted int, err error) {
	rows, err := readSpooled(ctx, tx, spoolNextSQL, state.cursor, r.spoolBatch)
	if err != nil {
		return 0, err
	}
	if len(rows) == 0 {
		_, err = tx.Exec(ctx, spoolStepSQL, string(spoolClear), 0)
		return 0, err
	}
	left, err := readDeparted(ctx, tx, rows)
	if err != nil {
		return 0, err
	}
	var entries ledgerRows
	var found []acceptance
	var used []int64
	var identities, successors []string
	var keys []*string
	for _, row := range rows {
		after, accepts := row.settle(left)
		if !after.accepted {
			continue
		}
		if accepts {
			after.lsn = &state.lsn
			found = append(found, acceptance{identity: row.identity, lsn: state.lsn, time: state.time,
				place: &place{row: row.identity, key: after.key}})
		}
		entries.add(row.identity, after)
	}
	for _, gone := range left {
		for _, row := range gone {
			if row.successor != nil {
				used = append(used, row.number)
				identities, successors = append(identities, row.identity), append(successors, row.successor.identity)
				keys = append(keys, row.successor.keyAfter())
			}
		}
	}
	q := &pgx.Batch{}
	entries.queue(q)
	q.Queue(spoolSucceedSQL, identities, successors, keys)
	queueWaiting(q, found, interval(r.config.Settle))
	q.Queue("DELETE FROM attendee_relay.spool WHERE number = ANY ($1::bigint[])", used)
	q.Queue(spoolStepSQL, string(spoolAdd), rows[len(rows)-1].number)
	return len(found), tx.SendBatch(ctx, q).Close()
}

// readDeparted finds the deleted rows that new accepted ones of this batch may be.
func readDeparted(ctx context.Context, tx pgx.Tx, rows []*row) (departures, error) {
	var keys []string
	for _, row := range rows {
		if !row.existed && !row.gone && row.status == replication.Accepted && row.key.Kind == replication.Present {
			keys = append(keys, row.key.Text)
		}
	}
	if len(keys) == 0 {
		return departures{}, nil
	}
	gone, err := readSpooled(ctx, tx, spoolDepartedSQL, keys)
	if err != nil {
		return departures{}, err
	}
	return departed(gone), nil
}
