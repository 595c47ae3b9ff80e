package outbox

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/postgres"
)

var (
	//go:embed sql/resolve_due.sql
	resolveDueSQL string
	//go:embed sql/resolve_take.sql
	resolveTakeSQL string
	//go:embed sql/resolve_later.sql
	resolveLaterSQL string
	//go:embed sql/resolve_next.sql
	resolveNextSQL string
)

const (
	// resolveLimit is how many waiting acceptances one payload query evaluates.
	resolveLimit = 500
	// resolveAtLeast is how often a Resolver looks for due acceptances that nobody told it of.
	resolveAtLeast = 30 * time.Second
	// failuresInARow of single keys mean that the query is broken for all, and the rest need not be tried one by one.
	failuresInARow = 3
)

// Resolver evaluates waiting acceptances until their payload is there: with back-off, at once when their row changes,
// and until OUTBOX_PATIENCE has passed. It works while its Recorder leads.
type Resolver struct {
	recorder *Recorder
	reader   *reader
	leading  func() bool
	wake     chan struct{}
	log      *zap.Logger
}

// NewResolver makes the Resolver of a Recorder; leading reports whether this process leads.
func NewResolver(r *Recorder, leading func() bool) *Resolver {
	return &Resolver{
		recorder: r, leading: leading, wake: make(chan struct{}, 1), log: r.log.Named("resolver"),
		reader: &reader{url: r.reader.url, name: "attendee-relay/" + r.deployment + " resolver", query: r.reader.query},
	}
}

// Nudge tells the Resolver that there may be something to evaluate. It does not block.
func (v *Resolver) Nudge() {
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// Run evaluates until the context ends.
func (v *Resolver) Run(ctx context.Context) error {
	defer func() { v.reader.close(context.WithoutCancel(ctx)) }()
	wait := time.Duration(0)
	for {
		select {
		case <-v.wake:
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
		if !v.leading() {
			wait = time.Second // a look at memory only
			continue
		}
		next, err := v.resolveDue(ctx)
		wait = resolveAtLeast
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errFenced):
		case err != nil:
			v.log.Warn("evaluating the waiting acceptances failed and is tried again", zap.Error(err))
			wait = time.Second
		default:
			wait = min(next, resolveAtLeast)
		}
	}
}

// due is a waiting acceptance whose evaluation is due.
type due struct {
	acceptance
	id          int64
	evaluations int
	// accepted: the row is accepted now. late: OUTBOX_PATIENCE has passed.
	accepted, late bool
}

// resolveDue evaluates all that is due and returns how long it is until the next.
func (v *Resolver) resolveDue(ctx context.Context) (time.Duration, error) {
	if err := v.reader.connect(ctx); err != nil {
		return 0, err
	}
	for {
		list, err := v.readDue(ctx)
		if err != nil {
			return 0, err
		}
		if len(list) == 0 {
			return v.untilNext(ctx)
		}
		if err := v.resolve(ctx, list); err != nil {
			return 0, err
		}
	}
}

func (v *Resolver) readDue(ctx context.Context) ([]*due, error) {
	rows, err := v.reader.conn.Query(ctx, resolveDueSQL, resolveLimit, v.recorder.config.Patience.String())
	if err != nil {
		return nil, fmt.Errorf("reading the due acceptances: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*due, error) {
		d := &due{acceptance: acceptance{place: &place{}}}
		var lsn string
		var at *time.Time
		if err := row.Scan(&d.id, &d.identity, &d.row, &d.key, &lsn, &at, &d.evaluations, &d.accepted, &d.late); err != nil {
			return nil, err
		}
		if at != nil {
			d.time = *at
		}
		parsed, err := parseOptionalLSN(&lsn)
		if err == nil {
			d.lsn = *parsed
		}
		return d, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the due acceptances: %w", err)
	}
	return list, nil
}

func (v *Resolver) untilNext(ctx context.Context) (time.Duration, error) {
	var seconds *float64
	if err := v.reader.conn.QueryRow(ctx, resolveNextSQL).Scan(&seconds); err != nil {
		return 0, fmt.Errorf("reading when the next acceptance is due: %w", err)
	}
	if seconds == nil {
		return resolveAtLeast, nil
	}
	return max(10*time.Millisecond, time.Duration(*seconds*float64(time.Second))), nil
}

// resolve evaluates a batch with one query; when that fails, key by key, so that a bad one blocks no other.
func (v *Resolver) resolve(ctx context.Context, list []*due) error {
	rows, err := v.query(ctx, list)
	if err == nil {
		v.queryWorks()
		return v.store(ctx, list, rows, "")
	}
	if postgres.Unreachable(err) || ctx.Err() != nil {
		return err
	}
	if len(list) == 1 {
		if v.recorder.renderLate.Load() {
			v.recorder.queryFailed(err)
		}
		return v.store(ctx, list, nil, failure(err))
	}
	failed := 0
	for i, d := range list {
		one, err := v.query(ctx, []*due{d})
		reason := ""
		if err != nil {
			if postgres.Unreachable(err) || ctx.Err() != nil {
				return err
			}
			failed++
			reason = failure(err)
		} else {
			failed = 0
			v.queryWorks()
		}
		if failed >= failuresInARow {
			v.recorder.queryFailed(err)
			return v.store(ctx, list[i:], nil, reason)
		}
		if err := v.store(ctx, []*due{d}, one, reason); err != nil {
			return err
		}
	}
	return nil
}

func (v *Resolver) query(ctx context.Context, list []*due) (map[string][]payload, error) {
	found := make([]acceptance, len(list))
	for i, d := range list {
		found[i] = d.acceptance
	}
	keys := keysOf(found)
	if len(keys) == 0 {
		return map[string][]payload{}, nil
	}
	var rows map[string][]payload
	err := v.reader.in(ctx, v.recorder.config.QueryTimeout, func(snapshot) error {
		var err error
		rows, err = v.reader.payloads(ctx, keys, v.recorder.config.DefaultURL)
		return err
	})
	return rows, err
}

func (v *Resolver) queryWorks() {
	v.recorder.renderLate.Store(false)
	v.recorder.board.Clear(fault.QueryFailing, fault.QueryInvalid)
}

// store writes what an evaluation came to, in one transaction. failed: the query's error; without one, a key without
// rows is not ready.
func (v *Resolver) store(ctx context.Context, list []*due, rows map[string][]payload, failed string) error {
	var ready messages
	var later postponed
	var taken []int64
	for _, d := range list {
		reason := failed
		if reason == "" && ready.add(v.recorder.systemID, d.acceptance, rows) {
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
	err := v.recorder.writer.within(ctx, 0, func(tx pgx.Tx) error {
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
		ready.queue(q)
		later.queue(q)
		return tx.SendBatch(ctx, q).Close()
	})
	if err == nil {
		v.recorder.signal(len(ready.ids) > 0, false)
	}
	return err
}

// postponed are acceptances that stay: evaluated again later, or recorded as empty.
type postponed struct {
	ids     []int64
	waits   []string
	reasons []*string
	empty   []bool
}

func (p *postponed) add(d *due, reason string) {
	p.ids = append(p.ids, d.id)
	p.reasons = append(p.reasons, optional(reason))
	p.waits = append(p.waits, min(time.Second<<min(d.evaluations, 6), time.Minute).String())
	// Only a key without rows can turn out empty; one whose query fails waits until it is mended.
	p.empty = append(p.empty, reason == "" && (d.late || !d.accepted))
}

func (p *postponed) queue(q *pgx.Batch) {
	if len(p.ids) > 0 {
		q.Queue(resolveLaterSQL, p.ids, p.waits, p.reasons, p.empty)
	}
}
