package outbox

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"attendee-relay/internal/postgres"
)

var (
	//go:embed sql/retention_erase.sql
	retentionEraseSQL string
	//go:embed sql/retention_delete.sql
	retentionDeleteSQL string
	//go:embed sql/retention_rest.sql
	retentionRestSQL string
)

const (
	// retentionBatch is how many messages one transaction erases or deletes: some milliseconds' work.
	retentionBatch = 500
	// retentionEvery is how often there is a look at what has become too old, at most.
	retentionEvery = time.Minute
)

// Retention erases bodies, secrets and answers after OUTBOX_PAYLOAD_RETENTION, and deletes rows after OUTBOX_RETENTION, soon and in
// small steps with pauses between them, so that nobody waits for it. It works while this process leads. The
// ledger of accepted rows stays.
type Retention struct {
	pool    Pool
	config  Config
	leading func() bool
	log     *zap.Logger
}

// NewRetention makes a Retention; leading reports whether this process leads.
func NewRetention(pool Pool, c Config, leading func() bool, log *zap.Logger) *Retention {
	return &Retention{pool: pool, config: c, leading: leading, log: log.Named("retention")}
}

// Run cleans up until the context ends.
func (r *Retention) Run(ctx context.Context) error {
	every := min(max(r.config.PayloadRetention/10, time.Second), retentionEvery)
	for wait := time.Second; waited(ctx, wait); wait = every {
		if !r.leading() {
			continue
		}
		if err := r.clean(ctx); err != nil && ctx.Err() == nil {
			r.log.Warn("erasing what is old failed and is tried again", zap.Error(err))
		}
	}
	return nil
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
			all, expired = all+done, expired+over
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

func (r *Retention) step(ctx context.Context, sql string, age time.Duration) (done, expired int, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, queueTimeout, fmt.Errorf("the database did not answer within %v", queueTimeout))
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
