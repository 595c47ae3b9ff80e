// Package capturetest runs capture, recorder and resolver inside a test's own process.
//
// It turns a database of pgtest into a relay without delivery that can be stopped, started again and waited for, and
// promises that nothing of it is left when the test ends. Only tests import it.
package capturetest

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/secret"
	"attendee-relay/outbox"
	"attendee-relay/replication"
)

// Patience is how long a test waits before it fails: long, because a large transaction on a busy machine under the race
// detector took more than a minute.
const Patience = 4 * time.Minute

// Rig is a relay without delivery. Its fields may be changed while it is stopped.
type Rig struct {
	DB     *pgtest.DB
	Source replication.Config
	Outbox outbox.Config
	// Board shows the faults of the run that is on, or of the last one.
	Board *fault.Board
	// Marker is a statement that changes a watched row and accepts none; CaughtUp runs it.
	Marker string
	// Deployment is the relay's name.
	Deployment string
	// Unprepared: the publication is not made beforehand, as the README has the owner of the table make it.
	Unprepared bool
	// Capture and Recorder change the stages before they start; Through may put something between the two.
	Capture  func(*replication.Capture)
	Recorder func(*outbox.Recorder)
	Through  func(replication.Recorder) replication.Recorder
	// Limit is how long a stage may finish no step before that is a fault; 0: as long as in a relay.
	Limit time.Duration

	running *running
}

type running struct {
	capture  *replication.Capture
	resolver *outbox.Resolver
	stop     context.CancelFunc
	done     sync.WaitGroup
}

// New returns a rig for the reference schema in db, with the default configuration and names of its own.
func New(db *pgtest.DB) *Rig {
	return &Rig{
		DB: db,
		Source: replication.Config{
			Table: "public.attendees", Key: "id", Status: "status", Accepted: []string{"Accepted"},
			Slot: db.Name(), Publication: db.Name(), Setup: "auto", OnLoss: "resync", Failover: true, Takeover: 10 * time.Second,
		},
		Outbox: outbox.Config{
			Repeat: "every", Baseline: "mark", QueryTimeout: 10 * time.Second, Patience: 15 * time.Minute, MaxBody: 4 << 20,
			PayloadRetention: 720 * time.Hour, Retention: 2160 * time.Hour,
		},
		Deployment: "test",
		Marker: `insert into events (id, name) values (-1, 'marker') on conflict do nothing;
			insert into attendees (id, event_id, name, surname) values (-1, -1, 'marker', '')
			on conflict (id) do update set updated_at = clock_timestamp()`,
	}
}

// Start starts the stages and returns at once.
func (r *Rig) Start(t testing.TB) {
	t.Helper()
	if r.running != nil {
		t.Fatal("the rig runs already")
	}
	if !r.Unprepared {
		r.Publish(t)
	}
	r.Board = fault.NewBoardWith(cmp.Or(r.Limit, fault.Limit), time.Now)
	// Debug and info would fill the output of a failing property test.
	log := zaptest.NewLogger(t, zaptest.Level(zap.ErrorLevel))
	settings := outbox.Settings{Table: r.Source.Table, Key: r.Source.Key, Status: r.Source.Status,
		Accepted: r.Source.Accepted, Repeat: r.Outbox.Repeat}
	var resolver *outbox.Resolver
	url := secret.New(r.DB.URL())
	recorder, err := outbox.NewRecorder(r.Outbox, settings, url, r.Deployment, r.Board,
		outbox.Signals{Messages: func() {}, Waiting: func() { resolver.Nudge() }}, log)
	if err != nil {
		t.Fatalf("making a recorder: %v", err)
	}
	if r.Recorder != nil {
		r.Recorder(recorder)
	}
	var through replication.Recorder = recorder
	if r.Through != nil {
		through = r.Through(recorder)
	}
	capture := replication.NewCapture(r.Source, url, r.Deployment, recorder, through, r.Board, log)
	if r.Capture != nil {
		r.Capture(capture)
	}
	resolver = outbox.NewResolver(recorder, capture.Leading)
	ctx, stop := context.WithCancel(context.Background())
	run := &running{capture: capture, resolver: resolver, stop: stop}
	r.running = run
	run.done.Go(func() {
		var stages sync.WaitGroup
		stages.Go(func() { _ = capture.Run(ctx) })
		stages.Go(func() { _ = resolver.Run(ctx) })
		stages.Go(func() { r.Board.Watch(ctx, func(fault.Fault, bool) {}) })
		stages.Wait()
		resolver.Close(context.WithoutCancel(ctx))
		recorder.Close(context.WithoutCancel(ctx))
	})
	t.Cleanup(func() {
		run.stop()
		run.done.Wait()
	})
}

// Publish makes the publication as the owner of the table, if the table can be published and the publication does not
// exist.
func (r *Rig) Publish(t testing.TB) {
	t.Helper()
	const ready = `select exists (select from pg_class
		where oid = to_regclass($1) and relkind in ('r', 'p') and relpersistence = 'p')
		and not exists (select from pg_publication where pubname = $2)`
	schema, table, _ := strings.Cut(r.Source.Table, ".")
	name := pgx.Identifier{schema, table}.Sanitize()
	if pgtest.Value[bool](t, r.DB, ready, name, r.Source.Publication) {
		r.DB.Exec(t, pgtest.Publication(pgx.Identifier{r.Source.Publication}.Sanitize(), name))
	}
}

// Resolver returns the running one.
func (r *Rig) Resolver() *outbox.Resolver { return r.running.resolver }

// Stop ends the stages as a shutdown does.
func (r *Rig) Stop(t testing.TB) {
	t.Helper()
	if r.running == nil {
		t.Fatal("the rig does not run")
	}
	r.running.stop()
	r.running.done.Wait()
	r.running = nil
}

// AwaitLeading waits until the rig streams.
func (r *Rig) AwaitLeading(t testing.TB) {
	t.Helper()
	pgtest.WaitUntil(t, Patience, "the relay leads", func() (bool, string) {
		return r.running.capture.Leading(), fmt.Sprint("faults: ", r.Board.List())
	})
}

// Leading reports whether the rig streams.
func (r *Rig) Leading() bool { return r.running != nil && r.running.capture.Leading() }

// AwaitFault waits until the board shows a fault of this code, and returns it.
func (r *Rig) AwaitFault(t testing.TB, code fault.Code) fault.Fault {
	t.Helper()
	var found fault.Fault
	pgtest.WaitUntil(t, Patience, "the fault "+string(code)+" is shown", func() (bool, string) {
		list := r.Board.List()
		for _, f := range list {
			if f.Code == code {
				found = f
				return true, ""
			}
		}
		return false, fmt.Sprint("faults: ", list)
	})
	return found
}

// AwaitNoFault waits until the board shows no fault.
func (r *Rig) AwaitNoFault(t testing.TB) {
	t.Helper()
	pgtest.WaitUntil(t, Patience, "no fault is shown", func() (bool, string) {
		list := r.Board.List()
		return len(list) == 0, fmt.Sprint(list)
	})
}

// CaughtUp waits until everything that was committed before the call is recorded.
func (r *Rig) CaughtUp(t testing.TB) {
	t.Helper()
	r.AwaitLeading(t)
	before := pgtest.Value[string](t, r.DB, "select pg_current_wal_insert_lsn()::text")
	r.DB.Exec(t, r.Marker)
	pgtest.WaitUntil(t, Patience, "the checkpoint has passed "+before, func() (bool, string) {
		//nolint:gosec // no password
		const passed = `select lsn > $1::text::pg_lsn and spool_step is null from attendee_relay.checkpoint`
		if pgtest.Value[bool](t, r.DB, passed, before) {
			return true, ""
		}
		return false, fmt.Sprintf("checkpoint %s, faults: %v", pgtest.Value[string](t, r.DB,
			"select lsn::text || ' step ' || coalesce(spool_step, 'none') from attendee_relay.checkpoint"), r.Board.List())
	})
}

// Settled waits until everything that was committed before the call is recorded and no acceptance waits for its
// message.
func (r *Rig) Settled(t testing.TB) {
	t.Helper()
	r.CaughtUp(t)
	pgtest.WaitUntil(t, Patience, "no acceptance waits", func() (bool, string) {
		waiting := pgtest.Values[string](t, r.DB, `select format('%s (key %s, %s evaluations: %s)', identity, source_key,
			evaluations, last_error) from attendee_relay.acceptance where state = 'waiting' order by id limit 3`)
		return len(waiting) == 0, strings.Join(waiting, "; ")
	})
}

// Announced returns the acceptances that were recorded, with a message or waiting for one, in the order of their
// commits, as "identity=key" of the given pattern: %1$s is the identity in the accepting commit, %2$s the key.
func (r *Rig) Announced(t testing.TB, pattern string) []string {
	t.Helper()
	return pgtest.Values[string](t, r.DB, `
		select format('`+pattern+`', identity, source_key)
		  from (select identity, source_key, commit_lsn, id as place, 0 as waiting from attendee_relay.message
		         union all
		        select identity, source_key, commit_lsn, id, 1 from attendee_relay.acceptance) as acceptances
		 order by commit_lsn, identity, waiting, place`)
}

// Keys returns the SOURCE_KEY values of the acceptances that were recorded, in the order of their commits.
func (r *Rig) Keys(t testing.TB) []string {
	t.Helper()
	return r.Announced(t, "%2$s")
}

// Ledger returns the identities in the ledger, in order.
func (r *Rig) Ledger(t testing.TB) []string {
	t.Helper()
	return pgtest.Values[string](t, r.DB, "select identity from attendee_relay.ledger order by identity")
}
