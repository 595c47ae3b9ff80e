package relaytest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"attendee-relay/internal/pgtest"
)

// announced counts the acceptances of each attendee. A transaction that accepts somebody notes it here, so that the two
// commit together: after a crash of the database nobody else knows what was committed.
const announced = `create table announced (attendee bigint not null, at bigint generated always as identity)`

// workers change attendees at once, each its own ones.
const workers = 3

// Load registers, accepts, cancels and accepts again until it is stopped.
type Load struct {
	db     *pgtest.DB
	events []int64
	stop   context.CancelFunc
	done   sync.WaitGroup

	mu     sync.Mutex
	failed error
}

// StartLoad begins to change the registrations of these events. crashes says that the database may be away meanwhile;
// otherwise an error of its fails the test. The seed decides what is done.
func StartLoad(t *testing.T, db *pgtest.DB, seed uint64, crashes bool, events ...int64) *Load {
	t.Helper()
	db.Exec(t, announced)
	pool := db.OwnerPool(t)
	ctx, stop := context.WithCancel(context.Background())
	l := &Load{db: db, events: events, stop: stop}
	for number := range workers {
		w := &worker{pool: pool, events: events, name: fmt.Sprintf("worker %d", number)}
		w.random = rand.New(rand.NewPCG(seed, uint64(number))) //nolint:gosec // to be repeatable
		l.done.Go(func() { l.run(ctx, w, crashes) })
	}
	t.Cleanup(func() {
		stop()
		l.done.Wait()
	})
	return l
}

func (l *Load) run(ctx context.Context, w *worker, crashes bool) {
	for ctx.Err() == nil {
		// A step that began is not interrupted: whether it was committed would be open.
		stepCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		err := w.step(stepCtx)
		cancel()
		pause := time.Duration(w.random.IntN(30)) * time.Millisecond
		if err != nil {
			l.note(err, crashes)
			pause = 100 * time.Millisecond
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

func (l *Load) note(err error, crashes bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !crashes && l.failed == nil {
		l.failed = err
	}
}

// Stop ends the load and returns how many acceptances were committed.
func (l *Load) Stop(t *testing.T) int {
	t.Helper()
	l.stop()
	l.done.Wait()
	if l.failed != nil {
		t.Fatalf("making registrations: %v", l.failed)
	}
	return pgtest.Value[int](t, l.db, "select count(*)::int from announced")
}

// Verify waits until everything is delivered or rightly withdrawn, then compares what was committed, what is in the
// outbox, and what was received. It returns how many requests came a second time.
func (l *Load) Verify(t *testing.T, receiver *Receiver, within time.Duration) (repeated int) {
	t.Helper()
	l.awaitDelivered(t, within)

	want, got := l.counts(t, "select attendee, count(*) from announced group by 1"),
		l.counts(t, "select source_key::bigint, count(*) from attendee_relay.outbox group by 1")
	if !maps.Equal(want, got) {
		for id := range maps.Keys(want) {
			if want[id] != got[id] {
				t.Errorf("attendee %d was accepted %d times and is in the outbox %d times", id, want[id], got[id])
			}
		}
		t.Errorf("%d attendees were accepted, %d are in the outbox", len(want), len(got))
	}
	return l.verifyReceived(t, receiver)
}

// ended calls rightly withdrawn what came to be tried again once its attendee had been cancelled: since then the
// attendee has been accepted again, which is another message, or has not.
const ended = `(select o.*, case when o.last_error = 'withdrawn: the source row is no longer accepted' and (
	exists (select from attendee_relay.outbox later where later.source_key = o.source_key
		and later.commit_lsn > o.commit_lsn)
	or not exists (select from attendees a where a.id = o.source_key::bigint and a.status = 'Accepted'))
	then 'withdrawn' else o.state end as ending from attendee_relay.outbox o)`

func (l *Load) awaitDelivered(t *testing.T, within time.Duration) {
	t.Helper()
	const state = `select (select count(*) from announced)::text || ' accepted'
		|| coalesce((select string_agg(format(', %s %s', count, state), '' order by state)
		from (select case ending when 'withdrawn' then 'delivered' else ending end, count(*)
		from ` + ended + ` as e group by 1) as states (state, count)), '')
		|| coalesce((select format(', %s waiting', count(*)) from attendee_relay.acceptance having count(*) > 0), '')`
	want := fmt.Sprintf("%[1]d accepted, %[1]d delivered",
		pgtest.Value[int](t, l.db, "select count(*)::int from announced"))
	pgtest.WaitUntil(t, within, "everything is delivered", func() (bool, string) {
		now := pgtest.Value[string](t, l.db, state)
		time.Sleep(50 * time.Millisecond) // the counting is not for nothing, either
		return now == want, now
	})
}

func (l *Load) counts(t *testing.T, sql string) map[int64]int64 {
	t.Helper()
	rows := pgtest.Values[[]int64](t, l.db, "select array[key, n] from ("+sql+") as counted (key, n)")
	counts := make(map[int64]int64, len(rows))
	for _, row := range rows {
		counts[row[0]] = row[1]
	}
	return counts
}

// verifyReceived compares the requests with the outbox: each message arrived, with its stored body on every attempt,
// signed, and an attendee's first announcement never arrived after a later one.
func (l *Load) verifyReceived(t *testing.T, receiver *Receiver) (repeated int) {
	t.Helper()
	stored := pgtest.Values[[]string](t, l.db, `select array[message_id, payload, source_key, ending] from `+ended+
		` as e order by commit_lsn`)
	place := make(map[string]int, len(stored))
	for i, row := range stored {
		place[row[0]] = i
	}
	seen := make(map[string]bool, len(stored))
	newest := map[string]int{}
	for _, w := range receiver.Webhooks() {
		at, known := place[w.ID]
		switch {
		case !known:
			t.Errorf("%s was received and is not in the outbox", w.ID)
			continue
		case w.Verified != nil:
			t.Errorf("the signature of %s: %v", w.ID, w.Verified)
		case w.Body != stored[at][1]:
			t.Errorf("%s was received with the body %s and is stored with %s", w.ID, w.Body, stored[at][1])
		}
		if seen[w.ID] {
			repeated++
			continue
		}
		seen[w.ID] = true
		attendee := stored[at][2]
		if last, again := newest[attendee]; again && last > at {
			t.Errorf("attendee %s: an acceptance was announced after a later one", attendee)
		}
		newest[attendee] = at
	}
	for _, row := range stored {
		if !seen[row[0]] && row[3] != "withdrawn" {
			t.Errorf("%s is in the outbox and was not received", row[0])
		}
	}
	return repeated
}

// worker changes its own attendees, whom it knows by their surname.
type worker struct {
	pool   *pgxpool.Pool
	events []int64
	name   string
	random *rand.Rand
}

const (
	register = `with made as (insert into attendees (event_id, name, surname, email, status)
		select $1, 'Ada', $2, 'ada@example.org', 'Accepted' from generate_series(1, $3::int) returning id)
		insert into announced (attendee) select id from made`
	apply  = `insert into attendees (event_id, name, surname) select $1, 'Grace', $2 from generate_series(1, $3::int)`
	accept = `with changed as (update attendees set status = 'Accepted' where id in (select id from attendees
		where surname = $1 and status <> 'Accepted' order by random() limit $2) returning id)
		insert into announced (attendee) select id from changed`
	cancel = `update attendees set status = 'Cancelled' where id in (select id from attendees
		where surname = $1 and status = 'Accepted' order by random() limit $2)`
	leave = `update attendees set status = 'Bouncing' where surname = $1 and status = 'Accepted' and id % 3 = 0`
	back  = `update attendees set status = 'Accepted' where surname = $1 and status = 'Bouncing'`
	edit  = `update attendees set email = 'new@example.org', updated_at = now() where id in (select id from attendees
		where surname = $1 order by random() limit $2)`
)

// step is one transaction.
func (w *worker) step(ctx context.Context) error {
	event, few, many := w.events[w.random.IntN(len(w.events))], 1+w.random.IntN(3), 2+w.random.IntN(20)
	switch w.random.IntN(10) {
	case 0, 1:
		return w.exec(ctx, register, event, w.name, 1)
	case 2:
		return w.exec(ctx, register, event, w.name, many)
	case 3:
		return w.exec(ctx, apply, event, w.name, few)
	case 4, 5:
		return w.exec(ctx, accept, w.name, few)
	case 6:
		return w.exec(ctx, cancel, w.name, few)
	case 7:
		return w.exec(ctx, edit, w.name, many)
	case 8: // accepted before and after: nothing to announce
		return pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, leave, w.name)
			if err == nil {
				_, err = tx.Exec(ctx, back, w.name)
			}
			return err
		})
	default: // never happened
		tx, err := w.pool.Begin(ctx)
		if err == nil {
			_, err = tx.Exec(ctx, register, event, w.name, few)
			_ = tx.Rollback(ctx)
		}
		return err
	}
}

func (w *worker) exec(ctx context.Context, sql string, args ...any) error {
	_, err := w.pool.Exec(ctx, sql, args...)
	return err
}

// Seed returns a seed and prints it; the test's random choices follow from it.
func Seed(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64() //nolint:gosec // not a secret
	t.Logf("seed %d", seed)
	return seed
}

// Sized returns the number in an environment variable, by which a test is made large by hand, or one that is quick.
func Sized(t *testing.T, variable string, quick int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return quick
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

// Percentile returns what that part of the durations does not exceed.
func Percentile(all []time.Duration, part float64) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(sorted)-1, int(part*float64(len(sorted))))]
}
