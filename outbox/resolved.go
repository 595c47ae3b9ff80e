package outbox

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

var (
	//go:embed sql/resolve_take.sql
	resolveTakeSQL string
	//go:embed sql/resolve_later.sql
	resolveLaterSQL string
)

// store writes what an evaluation came to, in one transaction. failed: the query's error; without one, a key without
// rows is not ready.
func (v *Resolver) store(ctx context.Context, list []*due, rows map[string][]payload, failed string) error {
	var ready messages
	var later postponed
	var taken []int64
	for _, d := range list {
		reason := failed
		if reason == "" && ready.add(v.recorder.opened.Load().systemID, d.acceptance, rows) {
			taken = append(taken, d.id)
			continue
		}
		var mine []payload
		if d.key != nil {
			mine = rows[*d.key]
		}
		if err := firstError(mine); err != nil {
			reason = err.Error()
		}
		later.add(d, reason)
	}
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), time.Minute, errors.New("storing evaluated acceptances took too long"))
	defer cancel()
	sending := v.recorder.handOver(&ready)
	err := v.recorder.writer.within(ctx, func(tx pgx.Tx) error {
		if len(taken) > 0 {
			gone, err := tx.Exec(ctx, resolveTakeSQL, taken)
			if err != nil {
				return err
			}
			if int(gone.RowsAffected()) != len(taken) {
				return fmt.Errorf("%d of %d acceptances were resolved by another process", len(taken)-int(gone.RowsAffected()), len(taken))
			}
		}
		q := &pgx.Batch{}
		later.queue(q)
		sending.queue(q, false)
		return tx.SendBatch(ctx, q).Close()
	})
	v.recorder.signal(sending.settle(err), false)
	return err
}

// postponed are acceptances that stay: evaluated again later, or recorded as empty.
type postponed struct {
	ids     []int64
	waits   []string
	reasons []*string
	empty   []bool
	// revisions are those that the evaluations rest on.
	revisions []int32
}

func (p *postponed) add(d *due, reason string) {
	p.ids, p.revisions = append(p.ids, d.id), append(p.revisions, d.revision)
	p.reasons = append(p.reasons, optional(reason))
	p.waits = append(p.waits, interval(min(time.Second<<min(d.evaluations, 6), time.Minute)))
	// Only a key without rows can turn out empty; one whose query fails waits until it is mended.
	p.empty = append(p.empty, reason == "" && (d.late || !d.accepted))
}

func (p *postponed) queue(q *pgx.Batch) {
	if len(p.ids) > 0 {
		q.Queue(resolveLaterSQL, p.ids, p.waits, p.reasons, p.empty, p.revisions)
	}
}
