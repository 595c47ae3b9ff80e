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
	//go:embed sql/baseline_begin.sql
	baselineBeginSQL string
	//go:embed sql/baseline_lose.sql
	baselineLoseSQL string
	//go:embed sql/baseline_miss.sql
	baselineMissSQL string
	//go:embed sql/baseline_compare.sql
	baselineCompareSQL string
	//go:embed sql/baseline_done.sql
	baselineDoneSQL string
	//go:embed sql/gap_open.sql
	gapOpenSQL string
	//go:embed sql/gap_close.sql
	gapCloseSQL string
)

// errTakenOver: another process has raised the fence during a baseline.
var errTakenOver = errors.New("the bookkeeping was taken over by another process during the baseline")

// Begin implements replication.Baseline.
func (r *Recorder) Begin(ctx context.Context, phase replication.Phase, lost *fault.Fault) error {
	conn, release, err := r.writer.hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	sql, args := baselineBeginSQL, []any{string(phase), r.writer.epoch}
	if lost != nil {
		sql, args = baselineLoseSQL, append(args, string(lost.Code))
	}
	stored, err := conn.Exec(ctx, sql, args...)
	if err == nil && stored.RowsAffected() == 0 {
		err = errTakenOver
	}
	if err != nil {
		return fmt.Errorf("storing the phase of the new start: %w", err)
	}
	return nil
}

// Miss implements replication.Baseline.
func (r *Recorder) Miss(ctx context.Context, reason replication.Missing, from pglogrepl.LSN) error {
	conn, release, err := r.writer.hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	_, err = conn.Exec(ctx, baselineMissSQL, string(reason), from.String(), r.config.Baseline == "send", r.writer.epoch)
	if err != nil {
		return fmt.Errorf("storing that the bookkeeping is missing: %w", err)
	}
	return nil
}

// comparison is what a baseline came to.
type comparison struct {
	announce       bool
	added, removed int64
	// gap is the number of the gap that it closed; nil: it was a first start.
	gap          *int64
	reason, from string
}

// Take implements replication.Baseline.
func (r *Recorder) Take(ctx context.Context, start pglogrepl.LSN, snapshotName string) error {
	conn, release, err := r.writer.hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		return fmt.Errorf("beginning the baseline: %w", err)
	}
	defer func() { _ = tx.Rollback(ctx) }()
	if snapshotName != "" {
		if _, err := tx.Exec(ctx, "SET TRANSACTION SNAPSHOT '"+strings.ReplaceAll(snapshotName, "'", "''")+"'"); err != nil {
			return fmt.Errorf("taking the slot's snapshot for the baseline: %w", err)
		}
	}
	// The baseline reads the whole table once, however long that takes.
	if _, err := tx.Exec(ctx, "SET LOCAL statement_timeout = 0"); err != nil {
		return fmt.Errorf("preparing the baseline: %w", err)
	}
	c, err := r.compare(ctx, tx, start, snapshotName == "")
	if err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("committing the baseline: %w", err)
	}
	r.report(c, start)
	return nil
}

func (r *Recorder) compare(ctx context.Context, tx pgx.Tx, start pglogrepl.LSN, ordinary bool) (*comparison, error) {
	c := &comparison{announce: r.config.Baseline == "send"}
	err := tx.QueryRow(ctx, gapOpenSQL).Scan(&c.gap, &c.announce)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return nil, fmt.Errorf("reading the gap to close: %w", err)
	}
	s := r.opened.Load().source
	sql := fmt.Sprintf(baselineCompareSQL, s.From(), s.IdentitySQL(), s.KeySQL(), s.AcceptedSQL("$1"))
	err = tx.QueryRow(ctx, sql, s.Accepted, c.announce, start.String()).Scan(&c.added, &c.removed)
	if postgres.Code(err) == "42501" {
		return nil, fault.New(fault.RowSecurity,
			"the role may not read all rows of %s: it lacks SELECT, or row level security hides some from it", s.Name()).
			WithFix("GRANT SELECT ON " + s.Name() +
				" TO <the relay's role>; with row level security also ALTER ROLE <the relay's role> BYPASSRLS")
	}
	if err != nil {
		return nil, fmt.Errorf("comparing the ledger with the accepted rows for the baseline: %w", err)
	}
	if c.gap != nil {
		err := tx.QueryRow(ctx, gapCloseSQL, *c.gap, start.String(), c.added, c.removed).Scan(&c.reason, &c.from)
		if err != nil {
			return nil, fmt.Errorf("closing the gap: %w", err)
		}
	}
	done, err := tx.Exec(ctx, baselineDoneSQL, start.String(), ordinary, s.Pins, r.writer.epoch)
	if err != nil {
		return nil, fmt.Errorf("storing the baseline's checkpoint: %w", err)
	}
	if done.RowsAffected() == 0 {
		return nil, errTakenOver
	}
	return c, nil
}

func (r *Recorder) report(c *comparison, start pglogrepl.LSN) {
	if c.announce {
		r.acceptances.Add(float64(c.added))
	}
	if c.gap == nil {
		r.log.Info("baseline taken", zap.Int64("accepted_rows", c.added), zap.Bool("announced", c.announce),
			zap.Stringer("start", start))
		return
	}
	r.log.Warn("a gap was closed: ledger and table were compared", zap.Int64("gap", *c.gap), zap.String("fault", c.reason),
		zap.String("from_lsn", c.from), zap.Stringer("to_lsn", start),
		zap.Int64("added", c.added), zap.Int64("removed", c.removed), zap.Bool("announced", c.announce))
}
