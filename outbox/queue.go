package outbox

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"attendee-relay/internal/postgres"
	"attendee-relay/internal/secret"
)

var (
	//go:embed sql/claim.sql
	claimSQL string
	//go:embed sql/settle.sql
	settleSQL string
	//go:embed sql/commit_local.sql
	commitLocalSQL string
)

// queueTimeout bounds one claim or settlement.
const queueTimeout = 10 * time.Second

// Queue gives pending messages out under leases and records what became of them. Any number of processes may use it at
// once; each statement is a transaction of its own, so it works through a transaction pooler.
type Queue struct {
	pool       *pgxpool.Pool
	deployment string
}

// NewQueue makes a Queue on a pool. It gives out nothing where the bookkeeping belongs to another deployment, database or
// cluster: a copy of the database must not send what the original sends.
func NewQueue(pool *pgxpool.Pool, deployment string) *Queue {
	return &Queue{pool: pool, deployment: deployment}
}

// Claim takes due messages under a fresh lease. It takes the oldest message of an attendee and endpoint only: an earlier
// acceptance is never sent after a later one.
func (q *Queue) Claim(ctx context.Context, request ClaimRequest) ([]Message, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, queueTimeout, fmt.Errorf("the database did not answer within %v", queueTimeout))
	defer cancel()
	busy, held := make([]uuid.UUID, 0, len(request.Busy)), make([]int32, 0, len(request.Busy))
	for endpoint, n := range request.Busy {
		busy, held = append(busy, endpoint), append(held, int32(n)) //nolint:gosec // at most DELIVERY_CONCURRENCY
	}
	token := uuid.New()
	// Read before the claim is sent, so that the lease never ends earlier in the database than here.
	ends := time.Now().Add(request.Lease)
	claimed, err := collect(ctx, q.pool, func(row pgx.CollectableRow) (Message, error) {
		m := Message{Token: token, LeaseEnds: ends}
		var key string
		var committed *time.Time
		err := row.Scan(&m.Row, &m.ID, &m.Endpoint, &m.URL, &key, &m.Payload, &m.Attempts, &committed)
		m.Secret = secret.New(key)
		if committed != nil {
			m.CommittedAt = *committed
		}
		return m, err
	}, claimSQL, request.Limit, interval(request.Lease), request.PerEndpoint, busy, held, token, q.deployment)
	if noOutbox(err) {
		return nil, nil
	}
	if err != nil {
		q.suspect(err)
		return nil, fmt.Errorf("claiming messages: %w", postgres.Safe(err))
	}
	return claimed, nil
}

// Settle records attempts and moves their messages on, in one transaction. An outcome that comes after its lease was
// lost is refused and counted, unless it is a 2xx and the message is still pending.
func (q *Queue) Settle(ctx context.Context, settlements []Settlement) (Settled, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, queueTimeout, fmt.Errorf("the database did not answer within %v", queueTimeout))
	defer cancel()
	var ids []int64
	var leases []uuid.UUID
	var states, waits []string
	var started []time.Time
	var durations []int32
	var statuses []*int32
	var failures, responses []*string
	for _, s := range settlements {
		attempt := s.Outcome.attempt
		ids, leases = append(ids, s.Message.Row), append(leases, s.Message.Token)
		states, waits = append(states, string(s.Outcome.state)), append(waits, interval(s.Outcome.wait))
		started, durations = append(started, attempt.StartedAt), append(durations, int32(attempt.Duration.Milliseconds())) //nolint:gosec // bounded by DELIVERY_TIMEOUT
		var status *int32
		if attempt.Status != 0 {
			status = new(int32)
			*status = int32(attempt.Status) //nolint:gosec // three digits
		}
		statuses = append(statuses, status)
		failures, responses = append(failures, optional(attempt.Error)), append(responses, optional(attempt.Response))
	}
	applied, err := collect(ctx, q.pool, pgx.RowTo[int],
		settleSQL, ids, leases, states, waits, started, durations, statuses, failures, responses)
	if err != nil {
		q.suspect(err)
		return Settled{}, fmt.Errorf("settling %d messages: %w", len(settlements), postgres.Safe(err))
	}
	return Settled{Applied: applied[0], Refused: len(settlements) - applied[0]}, nil
}

// suspect gives up all connections when one could not be talked on: the others lead to the same server, and each that is
// dead would cost a timeout of its own.
func (q *Queue) suspect(err error) {
	if postgres.Unreachable(err) {
		q.pool.Reset()
	}
}

// collect runs a statement in a transaction of its own and collects its rows. The commit waits for no synchronous standby:
// what a promotion takes back is a lease or an outcome, and the message is sent again with the same id.
func collect[T any](ctx context.Context, pool *pgxpool.Pool, row pgx.RowToFunc[T], statement string, args ...any) ([]T, error) {
	batch := &pgx.Batch{} // without a BEGIN both are one transaction
	batch.Queue(commitLocalSQL)
	batch.Queue(statement, args...)
	results := pool.SendBatch(ctx, batch)
	_, err := results.Exec()
	var list []T
	if err == nil {
		var rows pgx.Rows
		if rows, err = results.Query(); err == nil {
			list, err = pgx.CollectRows(rows, row)
		}
	}
	if closed := results.Close(); err == nil {
		err = closed // the commit's
	}
	return list, err
}

// noOutbox: before the first start has made the outbox there is nothing to send.
func noOutbox(err error) bool {
	code := postgres.Code(err)
	return code == "42P01" || code == "3F000"
}

// interval writes a duration for Postgres, which does not read all that Duration's String writes (250µs). It counts seconds,
// for Postgres 14 takes no number beyond 32 bits (DecodeInterval): 36 minutes would be too many microseconds.
func interval(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', 6, 64) + " seconds"
}
