package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// workers register people at the same time, each its own.
const workers = 4

// The application's statements: $1 is an event, an attendee or a number of them. An acceptance and its note commit
// together.
const (
	register = `with made as (insert into attendees (event_id, name, surname, email, status)
		select $1, 'Ada', 'Lovelace', 'ada@example.org', 'Accepted' from generate_series(1, $2::int) returning id, event_id),
		filled as (insert into form_values (attendee_id, form_field_id, value)
			select m.id, f.id, 'yes' from made m join form_fields f using (event_id))
		insert into soak.accepted (attendee) select id from made returning attendee`
	apply = `insert into attendees (event_id, name, surname, email) values ($1, 'Grace', 'Hopper', 'grace@example.org')
		returning id`
	accept = `with changed as (update attendees set status = 'Accepted', updated_at = now() where id = $1
		and status <> 'Accepted' returning id) insert into soak.accepted (attendee) select id from changed returning attendee`
	edit   = `update attendees set email = 'new@example.org', updated_at = now() where id = $1 returning id`
	cancel = `with changed as (update attendees set status = 'Cancelled' where id = $1 and status = 'Accepted'
		returning id)
		insert into soak.cancelled (attendee) select id from changed on conflict do nothing returning attendee`
)

// application registers people until it is stopped.
type application struct {
	site   *site
	events int
	cancel context.CancelFunc
	done   sync.WaitGroup
	failed atomic.Int64
}

func startApplication(t *testing.T, s *site, r *receivers, seed uint64) *application {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	a := &application{site: s, events: 3 * len(r.urls), cancel: cancel}
	for n := range workers {
		w := &worker{application: a, random: rand.New(rand.NewPCG(seed, uint64(n)+1))}
		a.done.Go(func() { w.run(ctx) })
	}
	t.Cleanup(func() { a.stop(t) })
	return a
}

// stop returns when the transactions under way have ended.
func (a *application) stop(t *testing.T) {
	t.Helper()
	a.cancel()
	a.done.Wait()
}

func (a *application) failures() int64 { return a.failed.Load() }

// worker is one session of the application.
type worker struct {
	*application
	random   *rand.Rand
	waiting  []int64 // have applied, or were cancelled
	accepted []int64 // the last ones
}

func (w *worker) run(ctx context.Context) {
	tick := time.NewTicker(time.Duration(float64(time.Second) * workers / *rate))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		// A transaction under way is not interrupted: it would be unknown whether it was committed.
		step, done := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		if err := w.step(step); err != nil {
			w.failed.Add(1)
			time.Sleep(200 * time.Millisecond) // the server is away
		}
		done()
	}
}

// step runs one transaction.
func (w *worker) step(ctx context.Context) error {
	event := 1 + w.random.IntN(w.events)
	switch kind := w.random.IntN(100); {
	case kind < 55:
		return w.transact(ctx, &w.accepted, register, event, 1)
	case kind < 58:
		return w.transact(ctx, &w.accepted, register, event, 2+w.random.IntN(20))
	case kind < 75:
		return w.transact(ctx, &w.waiting, apply, event)
	case kind < 92:
		return w.transact(ctx, &w.accepted, accept, w.draw(&w.waiting))
	case kind < 96:
		return w.transact(ctx, nil, edit, w.any(w.accepted))
	case kind < 98:
		return w.transact(ctx, &w.waiting, cancel, w.draw(&w.accepted))
	default:
		tx, err := w.site.app.Begin(ctx)
		if err == nil {
			_, err = tx.Exec(ctx, register, event, 3)
			_ = tx.Rollback(ctx)
		}
		return err
	}
}

// transact runs a statement and remembers the attendees that it returns.
func (w *worker) transact(ctx context.Context, into *[]int64, sql string, args ...any) error {
	rows, err := w.site.app.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return fmt.Errorf("reading what was changed: %w", err)
	}
	if into != nil {
		*into = append(*into, ids...)
		*into = (*into)[max(0, len(*into)-500):]
	}
	return nil
}

// draw takes one of these people; if there are none, an id that nobody has.
func (w *worker) draw(from *[]int64) int64 {
	if len(*from) == 0 {
		return 0
	}
	n := w.random.IntN(len(*from))
	id := (*from)[n]
	(*from)[n] = (*from)[len(*from)-1]
	*from = (*from)[:len(*from)-1]
	return id
}

func (w *worker) any(of []int64) int64 {
	if len(of) == 0 {
		return 0
	}
	return of[w.random.IntN(len(of))]
}
