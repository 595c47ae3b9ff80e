package main

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/pgbouncer"
	"attendee-relay/internal/pgtap"
	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/postgres"
	"attendee-relay/internal/relaytest"
	"attendee-relay/internal/secret"
)

// way is how the program reaches a database beside look-alikes: directly, or through a pooler whose one session it
// shares with a neighbour.
type way struct {
	db       *pgtest.DB
	settings []string
	taps     []*pgtap.Tap
	// session is a session as the program has it; begin is the statement that begins a transaction in it.
	session *pgx.Conn
	begin   string
	// address is for sessions that set no search_path.
	address string
	// neighbour shares the session; nil if nobody does.
	neighbour *pgx.Conn
	pooler    *pgbouncer.Pooler
	ticks     int64
}

func straight(t *testing.T, db *pgtest.DB) *way {
	t.Helper()
	tap := pgtap.New(t, serverAddress(t, db))
	session, err := postgres.Direct(t.Context(), secret.New(db.URL()), "look-alikes")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close(context.Background()) })
	return &way{db: db, settings: []string{"DATABASE_URL=" + db.By(t, tap.Addr()).URL()}, taps: []*pgtap.Tap{tap},
		session: session, begin: "begin", address: db.URL()}
}

func pooled(t *testing.T, db *pgtest.DB) *way {
	t.Helper()
	pooler := pgbouncer.Start(t, db, "transaction")
	u, err := url.Parse(pooler.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	tap, shared := pgtap.New(t, serverAddress(t, db)), pgtap.New(t, u.Host)
	w := &way{db: db, taps: []*pgtap.Tap{tap, shared}, address: pooler.URL(t), pooler: pooler,
		settings: []string{"DATABASE_URL=" + db.By(t, shared.Addr()).URL(),
			"DATABASE_REPLICATION_URL=" + db.By(t, tap.Addr()).URL()}}
	w.session, w.neighbour = pgtest.Connect(t, w.address), pgtest.Connect(t, w.address)
	return w
}

func (w *way) environ() []string { return append(relaytest.Environ(w.db)[1:], w.settings...) }

// statements returns the statements that the program has sent this way. It sets begin.
func (w *way) statements() (all []pgtap.Statement) {
	for _, tap := range w.taps {
		all = append(all, tap.Statements()...)
	}
	slices.SortFunc(all, func(a, b pgtap.Statement) int { return strings.Compare(a.SQL, b.SQL) })
	all = slices.CompactFunc(all, func(a, b pgtap.Statement) bool { return a.SQL == b.SQL })
	for _, s := range all {
		if w.pooler != nil && strings.HasPrefix(s.SQL, "BEGIN ISOLATION LEVEL READ COMMITTED") {
			w.begin = s.SQL
		}
	}
	return all
}

func (w *way) answers(t *testing.T, statements []pgtap.Statement) map[string]answer {
	t.Helper()
	given := map[string]answer{}
	for _, s := range statements {
		w.spoil(t)
		given[s.SQL] = answered(t, w.session, w.begin, s)
	}
	return given
}

// leftovers is the state in which a neighbour leaves the session: a search_path with public first, and temporary
// tables, which Postgres finds before all others if the search_path does not say otherwise. It calls nothing.
const leftovers = `set search_path = public, pg_catalog; create temporary table if not exists pg_class (oid int);
	create temporary table if not exists pg_replication_slots (slot_name int); create temporary table if not exists
	pending (id int); create temporary table if not exists message (id int);
		create temporary table if not exists checkpoint
	(epoch int); create temporary table if not exists attendees (id int); create temporary table if not exists events (id
	int)`

func (w *way) spoil(t *testing.T) {
	t.Helper()
	if w.neighbour == nil {
		return
	}
	if _, err := w.neighbour.Exec(t.Context(), leftovers); err != nil {
		t.Fatalf("the neighbour: %v", err)
	}
}

// spoilAllTheTime has the neighbour spoil the session again and again until stop is called.
func (w *way) spoilAllTheTime(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for w.neighbour != nil {
			if _, err := w.neighbour.Exec(ctx, leftovers); err != nil && ctx.Err() == nil {
				t.Errorf("the neighbour: %v", err)
				return
			}
			select {
			case <-time.After(5 * time.Millisecond):
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() { cancel(); <-ended }
}

// calls returns how many calls of look-alikes the server has counted, once every session of the role has ended.
func (w *way) calls(t *testing.T) int64 {
	t.Helper()
	_ = w.session.Close(context.Background())
	if w.pooler != nil {
		w.pooler.Stop(t)
		defer w.pooler.Restart(t)
	}
	pgtest.WaitUntil(t, time.Minute, "the role has no session", func() (bool, string) {
		left := pgtest.Values[string](t, w.db, "select application_name from pg_catalog.pg_stat_activity where usename "+
			"operator(pg_catalog.=) $1 and datname operator(pg_catalog.=) $2", pgtest.Role, w.db.Name())
		return len(left) == 0, strings.Join(left, ", ")
	})
	count := func(name string) int64 {
		return pgtest.Value[int64](t, w.db, `select coalesce(pg_catalog.sum(calls), 0)::pg_catalog.int8
			from pg_catalog.pg_stat_user_functions where funcname operator(pg_catalog.=) $1`, name)
	}
	w.db.Exec(t, "select public.ticked()")
	w.ticks++
	pgtest.WaitUntil(t, time.Minute, "the counts arrive", func() (bool, string) { // before 15, from another process
		n := count("ticked")
		return n >= w.ticks, strconv.FormatInt(n, 10)
	})
	return count("counted")
}
