package outbox

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/postgres"
)

//go:embed sql/release.sql
var releaseSQL string

// Release ends the leases of messages that are not sent, so that they are due at once, a probe in a second. It returns
// those that it did not find under their lease: the lease was lost, somebody holds the row or has just changed it, or
// the transaction that wrote it has not committed.
func (q *Queue) Release(ctx context.Context, messages []Message) (missed []Message, err error) {
	ctx, cancel := q.bounded(ctx)
	defer cancel()
	rows, endpoints, leases := leasesOf(messages)
	found, err := collect(ctx, q.pool, pgx.RowTo[int64], statement{releaseSQL, []any{rows, endpoints, leases}})
	if noOutbox(err) {
		return messages, nil
	}
	if err != nil {
		q.suspect(err)
		return messages, fmt.Errorf("giving messages back: %w", postgres.Safe(err))
	}
	released := make(map[int64]bool, len(found))
	for _, row := range found {
		released[row] = true
	}
	for i := range messages {
		if !released[messages[i].Row] {
			missed = append(missed, messages[i])
		}
	}
	return missed, nil
}

// leasesOf is by what a lease is found and told from a later one.
func leasesOf(messages []Message) (rows []int64, endpoints, leases []uuid.UUID) {
	for i := range messages {
		m := &messages[i]
		rows, endpoints, leases = append(rows, m.Row), append(endpoints, m.Endpoint), append(leases, m.Token)
	}
	return rows, endpoints, leases
}
