package outbox

import (
	"context"
	_ "embed"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/postgres"
)

var (
	//go:embed sql/look.sql
	lookSQL string
	//go:embed sql/look_again.sql
	lookAgainSQL string
)

// lookBatch is how many messages of an endpoint that gets nothing are looked at in one turn.
const lookBatch = 100

// Look asks the payload query for some messages of an endpoint that is paused or disabled, and moves or ends them as
// Refresh does. It does so for one endpoint whose turn it is, and reports whether there was one.
func (q *Queue) Look(ctx context.Context) (bool, error) {
	if q.lookup == nil {
		return false, nil
	}
	var endpoint uuid.UUID
	picked, err := collect(ctx, q.pool, func(row pgx.CollectableRow) (ids []int64, err error) {
		return ids, row.Scan(&endpoint, &ids)
	}, statement{lookSQL, []any{lookBatch, interval(q.breaker.Probe), q.deployment}})
	if err != nil || len(picked) == 0 || len(picked[0]) == 0 {
		if noOutbox(err) {
			err = nil
		}
		return false, postgres.Safe(err)
	}
	stored, rows, err := q.now(ctx, picked[0])
	changes := &redirections{}
	for row, s := range stored {
		if fate, to := redirect(s, rows); fate != stay {
			changes.add(row, nil, fate, to)
		}
	}
	fates, failed := q.redirect(ctx, changes)
	if failed != nil {
		return true, failed
	}
	for _, fate := range fates {
		if _, ends := endings[fate]; ends || fate == string(move) {
			_, failed := collect(ctx, q.pool, pgx.RowTo[int], statement{lookAgainSQL, []any{endpoint}})
			return true, postgres.Safe(failed)
		}
	}
	return true, err
}
