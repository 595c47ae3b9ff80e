package outbox

import (
	"context"
	_ "embed"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"attendee-relay/replication"
)

//go:embed sql/vanished.sql
var vanishedSQL string

// Vanished implements replication.Reconciler.
func (r *Recorder) Vanished(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	var looked string
	err := conn.QueryRow(ctx, "SELECT pg_catalog.pg_current_wal_insert_lsn()::text").Scan(&looked)
	if err != nil {
		return nil, fmt.Errorf("comparing the ledger with the watched table: %w", err)
	}
	r.looked.Store(&looked)
	rows, err := r.vanished(ctx, conn, nil)
	if err != nil {
		return nil, fmt.Errorf("comparing the ledger with the watched table: %w", err)
	}
	return rows, nil
}

func (r *Recorder) vanished(ctx context.Context, q querier, among []string) ([]string, error) {
	now, looked := r.opened.Load(), r.looked.Load()
	if now == nil || looked == nil {
		return nil, errors.New("the bookkeeping has not been opened")
	}
	s := now.source
	rows, err := q.Query(ctx, fmt.Sprintf(vanishedSQL, s.Name(), s.IdentitySQL(), s.AcceptedSQL("$1")), s.Accepted, among, replication.VanishedLimit, *looked)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// Forget implements replication.Reconciler. A row that is accepted again by now, or was since the look, stays in the
// ledger.
func (r *Recorder) Forget(ctx context.Context, rows []string) error {
	var gone []string
	err := r.writer.within(ctx, 0, func(tx pgx.Tx) error {
		var err error
		if gone, err = r.vanished(ctx, tx, rows); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, ledgerRemoveSQL, gone)
		return err
	})
	if err == nil && len(gone) > 0 {
		r.log.Warn("rows left the table without a word in the stream (a partition was truncated or detached): they are no longer accepted", zap.Int("rows", len(gone)))
	}
	return err
}
