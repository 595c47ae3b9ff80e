package outbox

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"

	"attendee-relay/internal/postgres"
)

//go:embed sql/queue_settings.sql
var queueSettingsSQL string

// queueTimeout bounds one claim or settlement.
const queueTimeout = 10 * time.Second

// Pool is where the Queue and its neighbours get a connection for one transaction.
type Pool interface {
	Acquire(context.Context) (*pgxpool.Conn, error)
	// Reset gives up all connections as they become free.
	Reset()
}

// Queue gives pending messages out under leases and records what became of them and of their endpoints. Any number of
// processes may use it at once; each statement is a transaction of its own, so it works through a transaction pooler.
type Queue struct {
	pool       Pool
	deployment string
	breaker    Breaker
	lookup     Lookup
	log        *zap.Logger
	// schedule is the waits after which the payload query is asked again that gave no row, as intervals.
	schedule []string
	unsent   *Unsent
	// turnPatience is longer in tests of what turns give on a busy machine.
	turnPatience time.Duration

	// encoding is the database's, by Postgres's name for it; nil: not known yet.
	encoding atomic.Pointer[string]

	mu sync.Mutex
	// ailing are the endpoints that this process has told a failure of, and no 2xx since.
	ailing map[uuid.UUID]bool
}

// Breaker says when an endpoint is paused, and for how long at first.
type Breaker struct {
	// Failures in a row pause an endpoint.
	Failures int
	// Probe is the first wait before a paused endpoint is probed.
	Probe time.Duration
}

// RecoveryTime is how long an endpoint that comes back after a pause gets messages at a slower, growing pace.
const RecoveryTime = time.Minute

// NewQueue makes a Queue on a pool. It claims nothing if the bookkeeping belongs to another deployment, database or
// cluster: a copy of the database must not send the original's messages.
func NewQueue(pool Pool, deployment string, breaker Breaker, lookup Lookup) *Queue {
	return &Queue{pool: pool, deployment: deployment, breaker: breaker, lookup: lookup, log: zap.NewNop(),
		schedule: []string{interval(unansweredWait)}, turnPatience: turnPatience, ailing: map[uuid.UUID]bool{}}
}

// unansweredWait is the only wait of a Queue that was given no schedule.
const unansweredWait = time.Minute

// AskBy has the payload query asked again by this schedule for a message that it gives no row for; at its end the
// message ends. It is called before the Queue is used, as is Report.
func (q *Queue) AskBy(schedule []time.Duration) {
	q.schedule = nil
	for _, wait := range schedule {
		q.schedule = append(q.schedule, interval(wait))
	}
}

// Report has the Queue tell u of the messages that it ends without a delivery.
func (q *Queue) Report(u *Unsent) { q.unsent = u }

// LogTo has the changes of endpoints' states logged. It is called before the Queue is used.
func (q *Queue) LogTo(log *zap.Logger) { q.log = log.Named("endpoints") }

// statement is one with its arguments.
type statement struct {
	sql  string
	args []any
}

// bounded returns a context that ends after queueTimeout.
func (q *Queue) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, queueTimeout, fmt.Errorf("the database did not answer within %v", queueTimeout))
}

// collect runs statements as transact does, and collects the rows of the last one.
func collect[T any](ctx context.Context, pool Pool, row pgx.RowToFunc[T],
	statements ...statement) (list []T, err error) {
	err = transact(ctx, pool, func(b *pgx.Batch) {
		last := len(statements) - 1
		for _, s := range statements[:last] {
			b.Queue(s.sql, s.args...)
		}
		b.Queue(statements[last].sql, statements[last].args...).Query(func(rows pgx.Rows) (err error) {
			list, err = pgx.CollectRows(rows, row)
			return err
		})
	})
	return list, err
}

// transact runs the statements that fill queues in one transaction. The commit waits for no synchronous standby:
// what a promotion takes back is a lease or an outcome, and the message is sent again with the same id.
func transact(ctx context.Context, pool Pool, fill func(*pgx.Batch)) (err error) {
	defer func() {
		if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
			err = fmt.Errorf("%w: %w", cause, err) // the driver says only that there was a deadline
		}
	}()
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	batch := &pgx.Batch{}
	if conn.Conn().PgConn().CustomData()[prepared] == nil {
		batch.Queue(queueSettingsSQL, true)
	}
	fill(batch)
	return postgres.Transact(ctx, conn.Conn(), batch)
}

// prepared marks sessions that have the settings of the queue's transactions.
const prepared = "attendee_relay_queue"

// PrepareSession gives a pool's new session the settings that each transaction would need otherwise. It is for sessions
// that belong to this process: not through a transaction pooler.
func PrepareSession(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, queueSettingsSQL, false); err != nil {
		return fmt.Errorf("preparing a session for deliveries: %w", postgres.Safe(err))
	}
	conn.PgConn().CustomData()[prepared] = true
	return nil
}

// suspect gives up all connections after one has failed: the others lead to the same server, and each that is dead
// would cost a timeout of its own.
func (q *Queue) suspect(err error) {
	if postgres.Unreachable(err) {
		q.pool.Reset()
	}
}

// noOutbox: before the first start has made the outbox there is nothing to send.
func noOutbox(err error) bool {
	code := postgres.Code(err)
	return code == "42P01" || code == "3F000"
}

// interval writes a duration for Postgres, which does not read every form that Duration's String writes (250µs). It
// counts seconds, for Postgres 14 takes no number beyond 32 bits (DecodeInterval): 36 minutes would be too many
// microseconds.
func interval(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', 6, 64) + " seconds"
}
