package outbox

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

var (
	//go:embed sql/resolve_list.sql
	resolveListSQL string
	//go:embed sql/resolve_list_failing.sql
	resolveListFailingSQL string
	//go:embed sql/resolve_due.sql
	resolveDueSQL string
	//go:embed sql/resolve_next.sql
	resolveNextSQL string
)

// resolveList is how many due acceptances are listed at once. Putting them in order costs as much as there are, so a
// large transaction's are not ordered again for each batch.
const resolveList = 100_000

// due is a waiting acceptance whose evaluation is due.
type due struct {
	acceptance
	id          int64
	evaluations int
	revision    int32
	// accepted: the row is accepted now. late: OUTBOX_PATIENCE has passed. failed: its last evaluation ended with an
	// error.
	accepted, late, failed bool
}

// listDue returns the ids of due acceptances, oldest first: of keys that fail, or of the others.
func (v *Resolver) listDue(ctx context.Context) ([]int64, error) {
	v.reader.turn <- struct{}{}
	defer func() { <-v.reader.turn }()
	ctx, cancel := bounded(ctx, 0)
	defer cancel()
	list := resolveListSQL
	if v.apart == nil {
		list = resolveListFailingSQL
	}
	rows, err := v.reader.conn.Query(ctx, list, resolveList)
	if err != nil {
		return nil, fmt.Errorf("listing the due acceptances: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("listing the due acceptances: %w", err)
	}
	return ids, nil
}

// readDue reads those of the listed acceptances that are due still.
func (v *Resolver) readDue(ctx context.Context, ids []int64) ([]*due, error) {
	v.reader.turn <- struct{}{}
	defer func() { <-v.reader.turn }()
	ctx, cancel := bounded(ctx, 0)
	defer cancel()
	var list []*due
	ask := func(q *pgx.Batch) {
		q.Queue(resolveDueSQL, ids, interval(v.recorder.config.Patience)).Query(func(rows pgx.Rows) (err error) {
			list, err = pgx.CollectRows(rows, scanDue)
			return err
		})
	}
	if err := v.reader.in(ctx, ask, func(snapshot) error { return nil }); err != nil {
		return nil, fmt.Errorf("reading the due acceptances: %w", err)
	}
	return list, nil
}

func scanDue(row pgx.CollectableRow) (*due, error) {
	d := &due{acceptance: acceptance{place: &place{}}}
	var lsn string
	var at, stamp *time.Time
	err := row.Scan(&d.id, &d.identity, &d.row, &d.key, &lsn, &at, &stamp, &d.evaluations, &d.accepted, &d.late,
		&d.revision, &d.failed)
	if err != nil {
		return nil, err
	}
	if at != nil {
		d.time, d.stamp = *at, *stamp
	}
	parsed, err := parseOptionalLSN(&lsn)
	if err == nil {
		d.lsn = *parsed
	}
	return d, err
}

// untilNext returns how long it is until another acceptance is due.
func (v *Resolver) untilNext(ctx context.Context) (time.Duration, error) {
	v.reader.turn <- struct{}{}
	defer func() { <-v.reader.turn }()
	ctx, cancel := bounded(ctx, 0)
	defer cancel()
	var seconds *float64
	if err := v.reader.conn.QueryRow(ctx, resolveNextSQL, v.apart == nil).Scan(&seconds); err != nil {
		return 0, fmt.Errorf("reading when the next acceptance is due: %w", err)
	}
	if seconds == nil {
		return nothingWaits, nil
	}
	return max(10*time.Millisecond, time.Duration(*seconds*float64(time.Second))), nil
}
