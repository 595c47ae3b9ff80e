package lab

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// oldest is how long a transaction of a relay's may be open that nobody has frozen: Postgres ends idle ones after 10
	// s.
	oldest = 15 * time.Second
	// recovery is how long after a fault a relay may have sessions that it does not know of any more.
	recovery = 10 * time.Second
)

// watch samples what may never be seen, not even for a moment, while the relays run.
type watch struct {
	lab     *laboratory
	backlog atomic.Int64 // messages to be sent
	rss     atomic.Int64 // the most memory a relay had, in KiB
	crowded map[string]bool

	mu     sync.Mutex
	wrong  []string
	cancel context.CancelFunc
	done   chan struct{}
}

func newWatch(l *laboratory) *watch {
	return &watch{lab: l, crowded: map[string]bool{}, done: make(chan struct{})}
}

func (w *watch) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	go func() {
		defer close(w.done)
		for {
			w.sample(ctx)
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
				return
			}
		}
	}()
	t.Cleanup(w.end)
}

func (w *watch) end() {
	w.cancel()
	<-w.done
}

func (w *watch) sample(ctx context.Context) {
	for _, r := range w.lab.relays {
		w.rss.Store(max(w.rss.Load(), int64(r.rss())))
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var pending int64
	if w.lab.pool.QueryRow(ctx, "select count(*) from attendee_relay.pending").Scan(&pending) == nil {
		w.backlog.Store(pending)
	}
	w.sampleTransactions(ctx)
	w.sampleSessions(ctx)
}

// sampleTransactions looks for transactions that hold back VACUUM or locks for long.
func (w *watch) sampleTransactions(ctx context.Context) {
	rows, err := w.lab.pool.Query(ctx, `select usename::text, application_name || ': ' || left(query, 60), state,
		extract(epoch from clock_timestamp() - xact_start)::float8 from pg_stat_activity
		where application_name like 'attendee-relay/%' and backend_type = 'client backend'
		and clock_timestamp() - xact_start > $1 * interval '1 second'`, oldest.Seconds())
	if err != nil {
		return // Postgres is away
	}
	var role, what, state string
	var age float64
	_, _ = pgx.ForEachRow(rows, []any{&role, &what, &state, &age}, func() error {
		if w.lab.journal.touching(numberOf(role), time.Now().Add(-oldest-recovery), time.Now(), "freeze", "stall") == nil {
			w.note("a transaction of %s is %.0f s old, %s: %s", role, age, state, what)
		}
		return nil
	})
}

// sampleSessions counts the sessions of each relay; too many count when they are seen twice.
func (w *watch) sampleSessions(ctx context.Context) {
	rows, err := w.lab.pool.Query(ctx, `select usename::text, count(*)::int, count(*)::int > $1 from pg_stat_activity
		where application_name like 'attendee-relay/%' group by 1`, maxConns+1)
	if err != nil {
		return
	}
	var role string
	var sessions int
	var many bool
	_, _ = pgx.ForEachRow(rows, []any{&role, &sessions, &many}, func() error {
		spared := w.lab.journal.touching(numberOf(role), time.Now().Add(-recovery), time.Now()) != nil
		if many && !spared && w.crowded[role] {
			w.note("%s has %d sessions, DATABASE_MAX_CONNS is %d", role, sessions, maxConns)
		}
		w.crowded[role] = many && !spared
		return nil
	})
}

func (w *watch) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrong = append(w.wrong, w.lab.journal.at(time.Now())+": "+fmt.Sprintf(format, args...))
}

// numberOf returns the number of the relay with a role.
func numberOf(role string) int {
	number := everybody
	_, _ = fmt.Sscanf(role, "relay_%d", &number)
	return number
}
