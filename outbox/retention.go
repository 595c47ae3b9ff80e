package outbox

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/postgres"
)

var (
	//go:embed sql/retention_erase.sql
	retentionEraseSQL string
	//go:embed sql/retention_delete.sql
	retentionDeleteSQL string
	//go:embed sql/retention_rest.sql
	retentionRestSQL string
	//go:embed sql/untold_take.sql
	untoldTakeSQL string
)

const (
	// retentionBatch is how many messages one transaction erases or deletes: some milliseconds' work.
	retentionBatch = 500
	// retentionEvery is how often there is a look at what has become too old, at most.
	retentionEvery = time.Minute
)

// Retention logs and counts messages that a command has ended, erases bodies, secrets and answers after
// OUTBOX_PAYLOAD_RETENTION, and deletes rows after OUTBOX_RETENTION, soon and in small steps with pauses between them,
// so that nobody waits for it. It works while this process leads. The ledger of accepted rows stays.
type Retention struct {
	pool    Pool
	config  Config
	leading func() bool
	every   time.Duration
	task    *fault.Task
	log     *zap.Logger
	unsent  *Unsent
}

// Report has the Retention tell u of the messages that end with their bodies. It is called before Run.
func (r *Retention) Report(u *Unsent) { r.unsent = u }

// NewRetention makes a Retention; leading reports whether this process leads.
func NewRetention(pool Pool, c Config, leading func() bool, board *fault.Board, log *zap.Logger) *Retention {
	every := min(max(c.PayloadRetention/10, time.Second), retentionEvery)
	return &Retention{pool: pool, config: c, leading: leading, every: every, log: log.Named("retention"),
		// With the pause between two rounds allowed, only a second failure in a row is shown.
		task: board.Task(fault.RetentionFailing, "erasing old bodies and rows", fault.Unless(fault.DatabaseUnreachable),
			fault.Allowing(every), fault.Partly(), fault.Locking())}
}

// Run cleans up until the context ends.
func (r *Retention) Run(ctx context.Context) error {
	for wait := time.Second; waited(ctx, wait); {
		if wait = time.Second; !r.leading() { // a look at memory only
			r.task.Rest()
			continue
		}
		wait = r.every
		r.task.Begin()
		err := r.tell(ctx)
		if err == nil {
			err = r.clean(ctx)
		}
		r.task.End(err)
		if err != nil && ctx.Err() == nil {
			r.log.Warn("erasing old bodies and rows failed and will be retried", zap.String("error", fault.Sentence(err)))
		}
	}
	return nil
}

// tell logs and counts the messages that a command has ended.
func (r *Retention) tell(ctx context.Context) error {
	for {
		list, err := r.takeUntold(ctx)
		if err != nil {
			return fmt.Errorf("telling of the messages that a command has ended: %w", postgres.Safe(err))
		}
		for _, m := range list {
			r.unsent.note(m.reason, m.id, m.endpoint)
		}
		if r.task.Step(); len(list) < retentionBatch {
			return nil
		}
	}
}

// untold is a message that a command has ended.
type untold struct {
	reason   Reason
	id       string
	endpoint uuid.UUID
}

func (r *Retention) takeUntold(ctx context.Context) ([]untold, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, queueTimeout, fmt.Errorf("the database did not answer within %v",
		queueTimeout))
	defer cancel()
	return collect(ctx, r.pool, func(row pgx.CollectableRow) (m untold, err error) {
		return m, row.Scan(&m.reason, &m.id, &m.endpoint)
	}, statement{untoldTakeSQL, []any{retentionBatch}})
}

// clean goes on until nothing is too old.
func (r *Retention) clean(ctx context.Context) error {
	for _, step := range []struct {
		doing, sql string
		age        time.Duration
	}{
		{"erasing bodies and answers", retentionEraseSQL, r.config.PayloadRetention},
		{"deleting old messages", retentionDeleteSQL, r.config.Retention},
		{"deleting old acceptances and endpoints", retentionRestSQL, r.config.Retention},
	} {
		var all, expired int
		for {
			began := time.Now()
			done, over, err := r.step(ctx, step.sql, step.age)
			if err != nil {
				return fmt.Errorf("%s: %w", step.doing, postgres.Safe(err))
			}
			r.task.Step()
			all, expired = all+done, expired+len(over)
			for _, messageID := range over {
				r.unsent.note(Expired, messageID, uuid.Nil)
			}
			if done == 0 {
				break
			}
			// As long a pause as it worked: never more than half of one session.
			if !waited(ctx, time.Since(began)) {
				return ctx.Err()
			}
		}
		if all > 0 {
			r.log.Info(step.doing, zap.Int("rows", all), zap.Int("expired", expired))
		}
	}
	return nil
}

func (r *Retention) step(ctx context.Context, sql string, age time.Duration) (done int, expired []string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, queueTimeout,
		fmt.Errorf("the database did not answer within %v", queueTimeout))
	defer cancel()
	_, err = collect(ctx, r.pool, func(row pgx.CollectableRow) (bool, error) {
		return true, row.Scan(&done, &expired)
	}, statement{sql, []any{interval(age), retentionBatch}})
	return done, expired, err
}

func waited(ctx context.Context, wait time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(wait):
		return true
	}
}
