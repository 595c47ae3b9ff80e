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

// Release ends the leases of messages that are not sent, so that they are due at once, a probe in a second. A lease that has been lost
// meanwhile is left alone, and one whose row somebody holds.
func (q *Queue) Release(ctx context.Context, messages []Message) error {
	ctx, cancel := q.bounded(ctx)
	defer cancel()
	rows, endpoints, leases := leasesOf(messages)
	_, err := collect(ctx, q.pool, pgx.RowTo[int], statement{releaseSQL, []any{rows, endpoints, leases}})
	if noOutbox(err) {
		return nil
	}
	if err != nil {
		q.suspect(err)
		return fmt.Errorf("giving messages back: %w", postgres.Safe(err))
	}
	return nil
}

// leasesOf is by what a lease is found and told from a later one.
func leasesOf(messages []Message) (rows []int64, endpoints, leases []uuid.UUID) {
	for i := range messages {
		m := &messages[i]
		rows, endpoints, leases = append(rows, m.Row), append(endpoints, m.Endpoint), append(leases, m.Token)
	}
	return rows, endpoints, leases
}
