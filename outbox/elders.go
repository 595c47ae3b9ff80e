package outbox

import (
	"context"
	_ "embed"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/postgres"
)

var (
	//go:embed sql/elders.sql
	eldersSQL string
	//go:embed sql/give_way.sql
	giveWaySQL string
)

// elder is an older message of the same attendee that waits; here: at the same endpoint.
type elder struct {
	row  int64
	here bool
}

// elders finds the older messages of the same attendees that wait, by the younger message.
func (q *Queue) elders(ctx context.Context, messages []Message) (map[int64][]elder, error) {
	var ids []int64
	for i := range messages {
		if messages[i].Elders {
			ids = append(ids, messages[i].Row)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	elders := map[int64][]elder{}
	_, err := collect(ctx, q.pool, func(row pgx.CollectableRow) (bool, error) {
		var younger int64
		var e elder
		err := row.Scan(&younger, &e.row, &e.here)
		elders[younger] = append(elders[younger], e)
		return true, err
	}, statement{eldersSQL, []any{ids}})
	if err != nil {
		return nil, fmt.Errorf("reading which messages of the same attendees wait: %w", postgres.Safe(err))
	}
	return elders, nil
}

// rowsOf lists messages and their elders, each once.
func rowsOf(messages []Message, elders map[int64][]elder) []int64 {
	var ids []int64
	for i := range messages {
		ids = append(ids, messages[i].Row)
		for _, e := range elders[messages[i].Row] {
			ids = append(ids, e.row)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// giveWay ends the leases of messages that older ones go before.
func (q *Queue) giveWay(ctx context.Context, messages []Message, yielding map[int64]bool) error {
	if len(yielding) == 0 {
		return nil
	}
	ids, endpoints, leases := leasesOf(slices.DeleteFunc(slices.Clone(messages), func(m Message) bool {
		return !yielding[m.Row]
	}))
	_, err := collect(ctx, q.pool, pgx.RowTo[int], statement{leaseLockSQL, []any{ids, leases}},
		statement{giveWaySQL, []any{ids, endpoints, leases}})
	return postgres.Safe(err)
}
