package outbox

import (
	"context"
	_ "embed"
	"errors"
	"fmt"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"attendee-relay/replication"
)

var (
	//go:embed sql/reconcile_look.sql
	reconcileLookSQL string
	//go:embed sql/gap_add.sql
	gapAddSQL string
)

// difference is a row that ledger and table do not agree on.
type difference struct {
	identity string
	// accepted: it is in the table, with this key; else it is in the ledger.
	accepted bool
	key      *string
}

// Compare implements replication.Reconciler.
func (r *Recorder) Compare(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	found, err := r.differences(ctx, conn, nil, nil)
	if err != nil {
		return nil, err
	}
	rows := make([]string, len(found))
	for i, d := range found {
		rows[i] = d.identity
	}
	return rows, nil
}

// differences lists the rows that differ; among nil: of all. Rows accepted after looked are left out.
func (r *Recorder) differences(ctx context.Context, q querier, among []string, looked *string) ([]difference, error) {
	now := r.opened.Load()
	if now == nil {
		return nil, errors.New("comparing the ledger with the watched table: the bookkeeping has not been opened")
	}
	s := now.source
	sql := fmt.Sprintf(reconcileLookSQL, s.Name(), s.IdentitySQL(), s.KeySQL(), s.AcceptedSQL("$1"))
	rows, err := q.Query(ctx, sql, s.Accepted, among, replication.CompareLimit, looked)
	if err != nil {
		return nil, fmt.Errorf("comparing the ledger with the watched table: %w", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (d difference, err error) {
		return d, row.Scan(&d.identity, &d.accepted, &d.key)
	})
	if err != nil {
		return nil, fmt.Errorf("comparing the ledger with the watched table: %w", err)
	}
	return found, nil
}

// Reconcile implements replication.Reconciler. Rows that agree again by now are left alone. A row of the table that is not
// in the ledger is an acceptance: one that came with a partition, or one whose commit is still to be read, which then
// finds it in the ledger.
func (r *Recorder) Reconcile(ctx context.Context, rows []string, looked pglogrepl.LSN) error {
	if err := r.reader.connect(ctx); err != nil {
		return err
	}
	found, err := r.differences(ctx, r.reader.conn, rows, lsnText(&looked))
	if err != nil || len(found) == 0 {
		return err
	}
	var gone []string
	var came ledgerRows
	var waiting []acceptance
	for _, d := range found {
		if !d.accepted {
			gone = append(gone, d.identity)
			continue
		}
		came.add(d.identity, entry{accepted: true, key: d.key, lsn: &looked})
		waiting = append(waiting, acceptance{identity: d.identity, lsn: looked, place: &place{row: d.identity, key: d.key}})
	}
	err = r.writer.write(ctx, 0, func(q *pgx.Batch) {
		q.Queue(ledgerRemoveSQL, gone)
		came.queue(q)
		queueWaiting(q, waiting, interval(r.config.Settle))
		q.Queue(gapAddSQL, "partitions", len(waiting), len(gone))
	})
	if err != nil {
		return err
	}
	r.acceptances.Add(float64(len(waiting)))
	r.signal(false, len(waiting) > 0)
	r.log.Warn("ledger and table differed without a word in the stream (a partition was truncated, attached or detached): mended",
		zap.Int("added", len(waiting)), zap.Int("removed", len(gone)))
	return nil
}
