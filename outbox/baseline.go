package outbox

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/postgres"
	"attendee-relay/replication"
)

var (
	//go:embed sql/baseline_send.sql
	baselineSendSQL string
	//go:embed sql/baseline_done.sql
	baselineDoneSQL string
)

// Baseline implements replication.Books: it stores the phase, and with the phase streaming the rows accepted in the
// snapshot, all in one transaction. An empty snapshot name stands for an ordinary snapshot.
func (r *Recorder) Baseline(ctx context.Context, phase replication.Phase, start pglogrepl.LSN, snapshotName string) error {
	conn, release, err := r.writer.hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	if phase != replication.PhaseStreaming {
		stored, err := conn.Exec(ctx, "UPDATE attendee_relay.checkpoint SET phase = $1 WHERE phase IN ('new', $1)", string(phase))
		if err == nil && stored.RowsAffected() == 0 {
			err = errors.New("another process has gone further")
		}
		if err != nil {
			return fmt.Errorf("storing the phase of the first start: %w", err)
		}
		return nil
	}
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		return fmt.Errorf("beginning the baseline: %w", err)
	}
	defer func() { _ = tx.Rollback(ctx) }()
	count, err := r.readBaseline(ctx, tx, start, snapshotName)
	if err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("committing the baseline: %w", err)
	}
	r.log.Info("baseline taken", zap.Int64("accepted_rows", count), zap.String("mode", r.config.Baseline), zap.Stringer("start", start))
	return nil
}

func (r *Recorder) readBaseline(ctx context.Context, tx pgx.Tx, start pglogrepl.LSN, snapshotName string) (int64, error) {
	if snapshotName != "" {
		if _, err := tx.Exec(ctx, "SET TRANSACTION SNAPSHOT '"+strings.ReplaceAll(snapshotName, "'", "''")+"'"); err != nil {
			return 0, fmt.Errorf("taking the slot's snapshot for the baseline: %w", err)
		}
	}
	// The baseline reads the whole table once, however long that takes.
	if _, err := tx.Exec(ctx, "SET LOCAL statement_timeout = 0"); err != nil {
		return 0, fmt.Errorf("preparing the baseline: %w", err)
	}
	s := r.opened.Load().source
	filled, err := tx.Exec(ctx, "INSERT INTO attendee_relay.ledger (identity, source_key) SELECT "+s.IdentitySQL()+", "+
		s.KeySQL()+" FROM "+s.Name()+" WHERE "+s.AcceptedSQL("$1"), s.Accepted)
	if postgres.Code(err) == "42501" {
		return 0, fault.New(fault.RowSecurity, "the role may not read all rows of %s: it lacks SELECT, or row level security hides some from it", s.Name()).
			WithFix("GRANT SELECT ON " + s.Name() + " TO <the relay's role>; with row level security also ALTER ROLE <the relay's role> BYPASSRLS")
	}
	if err != nil {
		return 0, fmt.Errorf("reading the accepted rows for the baseline: %w", err)
	}
	if r.config.Baseline == "send" {
		if _, err := tx.Exec(ctx, baselineSendSQL, start.String()); err != nil {
			return 0, fmt.Errorf("announcing the baseline: %w", err)
		}
	}
	done, err := tx.Exec(ctx, baselineDoneSQL, start.String(), snapshotName == "", s.Pins)
	if err != nil {
		return 0, fmt.Errorf("storing the baseline's checkpoint: %w", err)
	}
	if done.RowsAffected() == 0 {
		return 0, errors.New("the bookkeeping was taken over by another process during the baseline")
	}
	return filled.RowsAffected(), nil
}
