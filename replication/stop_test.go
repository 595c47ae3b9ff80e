package replication_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"

	"attendee-relay/internal/capturetest"
	"attendee-relay/internal/fault"
	"attendee-relay/internal/pgtest"
	"attendee-relay/replication"
)

const people = "create table people (id int primary key, status text)"

// stopping is a Recorder of which one call hangs, whatever its context says, or fails, for as long as it is told to.
type stopping struct {
	replication.Recorder
	call string
	hang bool
	// over is closed when the calls work again.
	over chan struct{}
}

var errUnknown = &pgconn.PgError{Severity: "ERROR", Code: "XX999", Message: "nobody knows"}

func (s *stopping) in(call string) error {
	switch {
	case call != s.call:
		return nil
	case s.hang:
		<-s.over
		return nil
	}
	select {
	case <-s.over:
		return nil
	default:
		return fmt.Errorf("recording: %w", errUnknown)
	}
}

func (s *stopping) Resume(ctx context.Context) error {
	if err := s.in("resume"); err != nil {
		return err
	}
	return s.Recorder.Resume(ctx)
}

func (s *stopping) Prepare(ctx context.Context, commits []replication.Commit) (replication.Recording, error) {
	if err := s.in("prepare"); err != nil {
		return nil, err
	}
	recording, err := s.Recorder.Prepare(ctx, commits)
	return func(ctx context.Context) error {
		if err := s.in("record"); err != nil {
			return err
		}
		return recording(ctx)
	}, err
}

func (s *stopping) Advance(ctx context.Context, to pglogrepl.LSN) error {
	if err := s.in("advance"); err != nil {
		return err
	}
	return s.Recorder.Advance(ctx, to)
}

// Whichever call of capture hangs or fails, there is a fault, and none any more when it works again; nothing is lost.
func TestNoCallOfCaptureStopsSilently(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"resume", "prepare", "record", "advance"} {
		for _, hang := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s hangs=%t", call, hang), func(t *testing.T) {
				t.Parallel()
				rig := newRig(t, pgtest.New(t, pgtest.Empty()), people)
				rig.Limit = time.Second
				s := &stopping{call: call, hang: hang, over: make(chan struct{})}
				rig.Through = func(r replication.Recorder) replication.Recorder { s.Recorder = r; return s }
				rig.Start(t)
				t.Cleanup(func() { // before the rig's own, which waits for the call
					select {
					case <-s.over:
					default:
						close(s.over)
					}
				})
				if call != "resume" {
					rig.AwaitLeading(t)
				}
				if call == "advance" { // a position is stored when the WAL has grown without a commit of ours
					rig.DB.Exec(t, "create table other as select repeat('x', 1000) from generate_series(1, 5000)")
				} else if call != "resume" {
					rig.DB.Exec(t, "insert into people values (1, 'Accepted')")
				}
				f := rig.AwaitFault(t, fault.CaptureFailing)
				if want := "a call has not returned"; f.Partial || hang && !strings.Contains(f.Message, want) {
					t.Errorf("%+v", f)
				}
				if !hang && !strings.Contains(f.Message, "nobody knows (SQLSTATE XX999)") {
					t.Errorf("%+v", f)
				}
				close(s.over)
				rig.AwaitNoFault(t)
				rig.DB.Exec(t, "insert into people values (2, 'Accepted')")
				rig.CaughtUp(t)
				if got := rig.Ledger(t); !slices.Contains(got, "2") {
					t.Errorf("the ledger has %q", got)
				}
			})
		}
	}
}

// What somebody does to our tables is shown with the server's words, and a fault of before is not shown beside it.
func TestWhatIsDoneToTheBookkeepingIsShown(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ do, undo, want string }{
		"a table is gone": {"alter table attendee_relay.ledger rename to away",
			"alter table attendee_relay.away rename to ledger", "42P01"},
		"a column is gone": {"alter table attendee_relay.checkpoint rename lsn to away",
			"alter table attendee_relay.checkpoint rename away to lsn", "42703"},
		"a trigger raises": {`create function no() returns trigger
			language plpgsql as 'begin raise exception ''Kowalski''; end';
			create trigger no before insert on attendee_relay.ledger execute function no()`,
			"drop trigger no on attendee_relay.ledger", "message not shown"},
		"somebody holds a lock": {"", "", "lock timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig := newRig(t, pgtest.New(t, pgtest.Empty()), people)
			rig.Limit = time.Second
			rig.Start(t)
			rig.AwaitLeading(t)
			rig.CaughtUp(t)
			undo := func() { rig.DB.Exec(t, c.undo) }
			if c.do != "" {
				rig.DB.Exec(t, c.do)
			} else {
				_, undo = rig.DB.Lock(t, "attendee_relay.ledger")
			}
			rig.Board.Raise(fault.New(fault.DatabaseUnreachable, "the server was away before"))
			rig.DB.Exec(t, "insert into people values (1, 'Accepted')")
			f := rig.AwaitFault(t, fault.CaptureFailing)
			if !strings.Contains(f.Message, c.want) || strings.Contains(f.Message, "Kowalski") {
				t.Errorf("%q, want one with %q", f.Message, c.want)
			}
			if all := rig.Board.List(); len(all) != 1 {
				t.Errorf("the board shows %+v", all)
			}
			undo()
			rig.AwaitNoFault(t)
			rig.CaughtUp(t)
			if got := rig.Ledger(t); !slices.Equal(got, []string{"1"}) {
				t.Errorf("the ledger has %q", got)
			}
		})
	}
}

// refusing fails to store some commits.
type refusing struct {
	replication.Recorder
	refuses func(replication.Commit) bool
}

func (r *refusing) Prepare(ctx context.Context, commits []replication.Commit) (replication.Recording, error) {
	if slices.ContainsFunc(commits, r.refuses) {
		return func(context.Context) error { return errUnknown }, nil
	}
	return r.Recorder.Prepare(ctx, commits)
}

// A commit that is recorded again before the one that cannot be is no progress.
func TestReadingAgainIsNoProgress(t *testing.T) {
	t.Parallel()
	rig := newRig(t, pgtest.New(t, pgtest.Empty()), people)
	rig.Limit = 2 * time.Second
	var poisoned atomic.Bool
	poisoned.Store(true)
	rig.Through = func(r replication.Recorder) replication.Recorder {
		return &refusing{Recorder: r, refuses: func(c replication.Commit) bool {
			return poisoned.Load() && slices.ContainsFunc(c.Changes, func(change replication.Change) bool {
				return change.Identity == "13"
			})
		}}
	}
	rig.Start(t)
	rig.AwaitLeading(t)
	rig.DB.Exec(t, "insert into people values (13, 'Accepted')")
	rig.AwaitFault(t, fault.CaptureFailing)
	for id := range 40 { // commits before it in no batch; the stream starts anew meanwhile
		rig.DB.Exec(t, "insert into people values ($1, 'Accepted')", 100+id)
		if list := rig.Board.List(); len(list) != 1 || list[0].Code != fault.CaptureFailing {
			t.Fatalf("the board shows %+v", list)
		}
	}
	poisoned.Store(false)
	rig.AwaitNoFault(t)
}

// Waiting for a synchronous standby is no fault, neither of the application's commit nor of the relay's own.
func TestWaitingForAStandbyIsNoFault(t *testing.T) {
	t.Parallel()
	for name, commit := range map[string]string{"the application's": "on", "the relay's": "local"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := pgtest.Start(t, nil)
			rig := newRig(t, pgtest.On(t, server, pgtest.Empty()), people)
			rig.Limit = 2 * time.Second
			rig.Start(t)
			rig.CaughtUp(t)
			lackStandby(t, rig)
			accepted := make(chan error, 1)
			pool := rig.DB.OwnerPool(t) // the application
			go func() {
				_, err := pool.Exec(context.Background(),
					"begin; set local synchronous_commit = "+commit+"; insert into people values (1, 'Accepted'); commit")
				accepted <- err
			}()
			pgtest.WaitUntil(t, capturetest.Patience, "a commit has waited for three times the limit", func() (bool, string) {
				if list := rig.Board.List(); len(list) != 0 {
					t.Fatalf("the board shows %+v", list)
				}
				return pgtest.Value[bool](t, rig.DB, `select count(*) > 0 from pg_stat_activity
					where wait_event = 'SyncRep' and now() - query_start > interval '6 s'`), "not yet"
			})
			rig.DB.Exec(t, "alter system set synchronous_standby_names = ''")
			rig.DB.Exec(t, "select pg_reload_conf()")
			if err := <-accepted; err != nil {
				t.Error(err)
			}
			rig.CaughtUp(t)
			if got := rig.Ledger(t); !slices.Equal(got, []string{"1"}) {
				t.Errorf("the ledger has %q", got)
			}
		})
	}
}
