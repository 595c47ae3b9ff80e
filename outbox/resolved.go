package outbox

import (
	"context"
	_ "embed"
	"errors"
	"slices"
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
// rows is not ready. Acceptances that have moved since they were evaluated stay as they are, and are evaluated again.
func (v *Resolver) store(ctx context.Context, list []*due, rows map[string][]payload, failed string) error {
	var answered []*due
	var later postponed
	for _, d := range list {
		var mine []payload
		if failed == "" && d.key != nil {
			mine = rows[*d.key]
		}
		switch err := firstError(mine); {
		case err != nil:
			v.verdict.due = true
			later.add(d, err.Error())
		case len(mine) == 0:
			v.verdict.due = v.verdict.due || failed != ""
			later.add(d, failed)
		default:
			answered = append(answered, d)
		}
	}
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), time.Minute,
		errors.New("storing evaluated acceptances took too long"))
	defer cancel()
	var sending []*handover
	err := v.recorder.writer.within(ctx, func(tx pgx.Tx) error {
		taken, err := take(ctx, tx, answered)
		if err != nil {
			return err
		}
		var ready parcels
		for _, d := range taken {
			ready.add(v.recorder.opened.Load().systemID, d.acceptance, rows)
		}
		q := &pgx.Batch{}
		v.recorder.writer.utf8(q)
		later.queue(q, v.recorder.writer.encoding)
		for _, m := range ready.list {
			h := v.recorder.handOver(m)
			sending = append(sending, h)
			h.queue(q, false)
			if err := tx.SendBatch(ctx, q).Close(); err != nil {
				return err
			}
			q = &pgx.Batch{}
		}
		if q.Len() == 0 {
			return nil
		}
		return tx.SendBatch(ctx, q).Close()
	})
	left := false
	for _, h := range sending {
		left = h.settle(err) || left
	}
	v.recorder.signal(left, false)
	if err == nil {
		v.task.Step()
		v.stored = true
	}
	return err
}

// take ends the waiting of acceptances whose payload is there, and returns, in order, those that are still where they
// were evaluated.
func take(ctx context.Context, tx pgx.Tx, answered []*due) ([]*due, error) {
	if len(answered) == 0 {
		return nil, nil
	}
	ids, identities, keys := make([]int64, len(answered)), make([]string, len(answered)), make([]string, len(answered))
	for i, d := range answered {
		ids[i], identities[i], keys[i] = d.id, d.row, *d.key
	}
	rows, err := tx.Query(ctx, resolveTakeSQL, ids, identities, keys)
	if err != nil {
		return nil, err
	}
	found := make(map[int64]bool, len(answered))
	var id int64
	_, err = pgx.ForEachRow(rows, []any{&id}, func() error {
		found[id] = true
		return nil
	})
	return slices.DeleteFunc(answered, func(d *due) bool { return !found[d.id] }), err
}

// postponed are acceptances that stay: evaluated again later, or recorded as empty.
type postponed struct {
	ids     []int64
	waits   []string
	reasons []*string
	empty   []bool
	// revisions are those of the rows that were evaluated.
	revisions []int32
}

func (p *postponed) add(d *due, reason string) {
	p.ids, p.revisions = append(p.ids, d.id), append(p.revisions, d.revision)
	p.reasons = append(p.reasons, optional(reason))
	p.waits = append(p.waits, interval(min(time.Second<<min(d.evaluations, 6), time.Minute)))
	// Only a key without rows can turn out empty; one whose query fails waits until the query works.
	p.empty = append(p.empty, reason == "" && (d.late || !d.accepted))
}

func (p *postponed) queue(q *pgx.Batch, encoding string) {
	for i, reason := range p.reasons {
		if reason != nil {
			p.reasons[i] = optional(storable(encoding, *reason))
		}
	}
	if len(p.ids) > 0 {
		q.Queue(resolveLaterSQL, p.ids, p.waits, p.reasons, p.empty, p.revisions)
	}
}
