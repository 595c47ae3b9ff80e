package outbox

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"attendee-relay/internal/fault"
	"attendee-relay/replication"
)

var (
	//go:embed sql/spool_load.sql
	spoolLoadSQL string
	//go:embed sql/spool_add.sql
	spoolAddSQL string
	//go:embed sql/spool_update.sql
	spoolUpdateSQL string
	//go:embed sql/spool_finish.sql
	spoolFinishSQL string
	//go:embed sql/spool_clear.sql
	spoolClearSQL string
)

// spooling is a large transaction whose parts are arriving. Its net rows lie in the spool table, so that memory holds
// one part at a time.
type spooling struct {
	lsn       pglogrepl.LSN
	seq       int64
	truncates []int64
}

// spool stores one part of a large transaction. With the last part the checkpoint moves past the transaction, in the
// same database transaction that marks the spool complete; then the spool is applied. An incomplete spool left by a
// crash is emptied at the next start, and the stream sends the transaction again.
func (r *Recorder) spool(ctx context.Context, commit *replication.Commit) error {
	if commit.EndLSN != 0 && r.inBaseline(commit) {
		return r.Advance(ctx, commit.EndLSN)
	}
	if r.spooling == nil || r.spooling.lsn != commit.CommitLSN {
		if err := r.clearSpool(ctx); err != nil {
			return err
		}
		r.spooling = &spooling{lsn: commit.CommitLSN}
	}
	if err := r.spoolPart(ctx, commit.Changes); err != nil {
		r.spooling = nil
		return fmt.Errorf("spooling a part of the transaction at %s: %w", commit.CommitLSN, err)
	}
	if commit.More {
		return nil
	}
	if err := r.finishSpool(ctx, commit); err != nil {
		return err
	}
	return r.applySpool(ctx)
}

// clearSpool removes the rows of an incomplete transaction from the spool. It deletes and does not TRUNCATE, which
// would wait for every reader of the table, a pg_dump for example, and capture with it.
func (r *Recorder) clearSpool(ctx context.Context) error {
	for {
		var cleared int64
		err := r.writer.within(ctx, func(tx pgx.Tx) (err error) {
			cleared, err = clearSome(ctx, tx)
			return err
		})
		if err != nil {
			return fmt.Errorf("emptying the spool: %w", err)
		}
		r.board.Progress(fault.CaptureFailing)
		if cleared == 0 {
			return nil
		}
	}
}

func clearSome(ctx context.Context, tx pgx.Tx) (int64, error) {
	cleared, err := tx.Exec(ctx, spoolClearSQL, clearBatch)
	return cleared.RowsAffected(), err
}

// spoolPart folds a part's changes into the rows that the spool holds already.
func (r *Recorder) spoolPart(ctx context.Context, changes []replication.Change) error {
	identities, _ := mentioned([]replication.Commit{{Changes: changes}})
	return r.writer.within(ctx, func(tx pgx.Tx) error {
		n, err := r.loadNet(ctx, tx, identities)
		if err != nil {
			return err
		}
		for _, change := range changes {
			n.apply(change)
		}
		r.spooling.seq, r.spooling.truncates = n.seq, n.truncates
		return storeNet(ctx, tx, n)
	})
}

// loadNet reads the spooled rows that these identities concern.
func (r *Recorder) loadNet(ctx context.Context, q querier, identities []string) (*net, error) {
	n := newNet()
	n.seq, n.truncates = r.spooling.seq, r.spooling.truncates
	rows, err := readSpooled(ctx, q, spoolLoadSQL, identities)
	if err != nil {
		return nil, err
	}
	n.load(rows)
	return n, nil
}

// storeNet writes the changed rows back: new ones with what the ledger says of them, which nothing changes before the
// transaction is complete.
func storeNet(ctx context.Context, tx pgx.Tx, n *net) error {
	var origins []string
	for _, r := range n.rows {
		if r.number == 0 && r.existed {
			origins = append(origins, r.origin)
		}
	}
	before, err := readLedger(ctx, tx, origins)
	if err != nil {
		return err
	}
	added, changed := &spoolRows{}, &spoolRows{}
	for _, r := range n.rows {
		if r.number == 0 && r.existed {
			r.before = before.loaded[r.origin]
		}
		r.existed = r.existed && (r.before.accepted || !r.reloaded)
		switch {
		case r.number != 0 && r.dirty:
			changed.add(r)
		case r.number == 0 && (r.existed || !r.gone):
			added.add(r)
		}
	}
	q := &pgx.Batch{}
	changed.queue(q, spoolUpdateSQL)
	added.queue(q, spoolAddSQL)
	return tx.SendBatch(ctx, q).Close()
}

// finishSpool waits until the transaction can be seen, then moves the checkpoint past it and marks the spool complete.
func (r *Recorder) finishSpool(ctx context.Context, commit *replication.Commit) error {
	var truncated *int64
	if truncates := r.spooling.truncates; len(truncates) > 0 {
		truncated = &truncates[len(truncates)-1]
	}
	r.spooling = nil
	if err := r.whenVisible(ctx, []replication.Commit{*commit}, nil, func() error { return nil }); err != nil {
		return err
	}
	return r.writer.write(ctx, commit.EndLSN, func(q *pgx.Batch) {
		q.Queue(spoolFinishSQL, string(spoolRemove), commit.CommitLSN.String(), timeText(commit.Time), truncated,
			timeText(commit.Stamped()))
	})
}

// spoolRows are rows for the spool, as the arrays that one statement takes.
type spoolRows struct {
	numbers, seqs          []int64
	identities             []string
	gone, accepted         []bool
	origins, keys          pgtype.FlatArray[*string]
	kinds, statuses        []int16
	ledgerKeys, ledgerLSNs pgtype.FlatArray[*string]
	ledgerAs               pgtype.FlatArray[*string]
}

func (s *spoolRows) add(r *row) {
	s.numbers, s.seqs = append(s.numbers, r.number), append(s.seqs, r.seq)
	s.identities, s.gone = append(s.identities, r.identity), append(s.gone, r.gone)
	var origin, key *string
	if r.existed {
		origin = &r.origin
	}
	if r.key.Kind == replication.Present {
		key = &r.key.Text
	}
	s.origins, s.keys = append(s.origins, origin), append(s.keys, key)
	s.kinds, s.statuses = append(s.kinds, int16(r.key.Kind)), append(s.statuses, int16(r.status))
	s.accepted = append(s.accepted, r.before.accepted)
	s.ledgerKeys, s.ledgerLSNs = append(s.ledgerKeys, r.before.key), append(s.ledgerLSNs, lsnText(r.before.lsn))
	s.ledgerAs = append(s.ledgerAs, r.before.acceptedAs)
}

func (s *spoolRows) queue(q *pgx.Batch, sql string) {
	if len(s.numbers) > 0 {
		q.Queue(sql, s.numbers, s.identities, s.gone, s.origins, s.kinds, s.keys, s.statuses, s.seqs, s.accepted,
			s.ledgerKeys, s.ledgerLSNs, s.ledgerAs)
	}
}

// readSpooled reads spool rows with a statement that selects all columns.
func readSpooled(ctx context.Context, q querier, sql string, args ...any) ([]*row, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("reading the spool: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(line pgx.CollectableRow) (*row, error) {
		r := &row{}
		var origin, key, ledgerLSN *string
		var kind, status int16
		err := line.Scan(&r.number, &r.identity, &r.gone, &origin, &kind, &key, &status, &r.seq,
			&r.before.accepted, &r.before.key, &ledgerLSN, &r.before.acceptedAs)
		if err != nil {
			return nil, err
		}
		if origin != nil {
			r.existed, r.origin = true, *origin
		}
		r.key.Kind = replication.ValueKind(kind) //nolint:gosec // written from one
		if key != nil {
			r.key.Text = *key
		}
		r.status = replication.Status(status) //nolint:gosec // written from one
		r.before.lsn, err = parseOptionalLSN(ledgerLSN)
		return r, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the spool: %w", err)
	}
	return list, nil
}
