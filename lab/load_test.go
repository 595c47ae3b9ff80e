package lab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"attendee-relay/internal/relaytest"
)

const (
	// workers change attendees at once, each its own ones.
	workers = 3
	// endpoints of all events together; the first event has two of them, each other one its own.
	endpoints = 4
	// tooMany messages to send make the load slower: the laboratory looks for losses, not for the relay's speed.
	tooMany = 3000
)

// load is the application: it registers, accepts, cancels, edits, deletes and renumbers until it is ended.
type load struct {
	lab    *laboratory
	seed   uint64
	events []int64
	cancel context.CancelFunc
	done   sync.WaitGroup

	// calm is held by every step for reading; nobody leaves the accepted while gentle.
	calm   sync.RWMutex
	gentle bool

	mu     sync.Mutex
	failed int
	last   error
}

func newLoad(l *laboratory, seed uint64) *load {
	l.t.Helper()
	ld := &load{lab: l, seed: seed}
	for endpoint := range endpoints {
		if endpoint != 1 {
			ld.events = append(ld.events, relaytest.AddEvent(l.t, l.db, ""))
		}
		l.db.Exec(l.t, "insert into lab.hooks values ($1, $2)", ld.events[len(ld.events)-1], l.receiver.hook(endpoint))
	}
	return ld
}

func (ld *load) start(t *testing.T) {
	t.Helper()
	pool := ld.lab.db.OwnerPool(t)
	ctx, cancel := context.WithCancel(context.Background())
	ld.cancel = cancel
	for number := range workers {
		w := &worker{pool: pool, events: ld.events, name: fmt.Sprintf("worker %d", number)}
		w.random = rand.New(rand.NewPCG(ld.seed, uint64(number)+1))
		switch number {
		case 0:
			w.nextLarge = time.Now().Add(3 * time.Second)
		case 1:
			w.nextEmpty = w.emptyAt(time.Second)
		}
		ld.done.Go(func() { ld.run(ctx, w) })
	}
	t.Cleanup(func() {
		cancel()
		ld.done.Wait()
	})
}

func (ld *load) run(ctx context.Context, w *worker) {
	for ctx.Err() == nil {
		pause := time.Duration(w.random.IntN(100)) * time.Millisecond
		if err := ld.step(ctx, w); err != nil {
			pause = 200 * time.Millisecond // Postgres is away, or a session was cut
		}
		if ld.lab.watch.backlog.Load() > tooMany {
			pause = time.Second
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// step runs one transaction. One that began is not interrupted by the end of the load.
func (ld *load) step(ctx context.Context, w *worker) error {
	ld.calm.RLock()
	defer ld.calm.RUnlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	do := w.choose(ld.gentle)
	err := pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error { return do(ctx, tx) })
	if errors.Is(err, errTakenBack) {
		err = nil
	}
	ld.mu.Lock()
	defer ld.mu.Unlock()
	if err != nil {
		ld.failed, ld.last = ld.failed+1, err
	}
	return err
}

// soften waits for the steps under way. Then it keeps accepted rows from leaving or being renumbered, or allows it
// again.
func (ld *load) soften(gentle bool) {
	ld.calm.Lock()
	defer ld.calm.Unlock()
	ld.gentle = gentle
}

// end ends the load when its steps are done.
func (ld *load) end(t *testing.T) {
	t.Helper()
	ld.cancel()
	ld.done.Wait()
	t.Logf("%d transactions of the load failed, the last with: %v", ld.failed, ld.last)
}

// worker changes its own attendees, whom it knows by their surname.
type worker struct {
	pool   *pgxpool.Pool
	events []int64
	name   string
	random *rand.Rand
	// nextLarge is when the next transaction too large for the relay's memory is due; zero: never.
	nextLarge time.Time
	// nextEmpty is when the next TRUNCATE is due; zero: never.
	nextEmpty time.Time
	// again: the next step lets those come back that were just deleted.
	again bool
}
