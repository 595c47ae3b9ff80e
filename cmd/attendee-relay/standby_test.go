package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

// follow is how long a standby may take when the server has let go of the leader. On a machine of its own it takes a
// second; with the other tests beside it one took more than five. A server that was not told REPLICATION_TAKEOVER lets
// go after a minute.
const follow = 15 * time.Second

func TestStandbyTakesOverFromAKilledLeader(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	receiver := relaytest.NewReceiver(t, nil)
	event := relaytest.AddEvent(t, db, receiver.URL)
	leader, standby := startPair(t, db)
	load := relaytest.StartLoad(t, db, relaytest.Seed(t), false, event)
	receiver.Await(t, 100, ready)

	killed := time.Now()
	leader.Kill()
	standby.AwaitRole(t, follow, "leader")
	t.Logf("the standby led %v after the kill", time.Since(killed).Round(10*time.Millisecond))
	receiver.Await(t, len(receiver.Webhooks())+50, ready)
	accepted := load.Stop(t)
	t.Logf("%d acceptances, %d requests repeated", accepted, load.Verify(t, receiver, ready))
}

// A frozen process keeps its connections and its locks, and goes on where it stood when it wakes.
func TestStandbyTakesOverFromAFrozenLeader(t *testing.T) {
	t.Parallel()
	const takeover = 2 * time.Second
	db := pgtest.New(t)
	receiver := relaytest.NewReceiver(t, nil)
	event := relaytest.AddEvent(t, db, receiver.URL)
	leader, standby := startPair(t, db, "REPLICATION_TAKEOVER="+takeover.String())
	load := relaytest.StartLoad(t, db, relaytest.Seed(t), false, event)
	receiver.Await(t, 100, ready)

	frozen := time.Now()
	leader.Freeze(t)
	standby.AwaitRole(t, takeover+follow, "leader")
	t.Logf("the standby led %v after the freeze", time.Since(frozen).Round(10*time.Millisecond))
	receiver.Await(t, len(receiver.Webhooks())+50, ready)
	epoch := pgtest.Value[int64](t, db, "select epoch from attendee_relay.checkpoint")

	leader.Signal(t, syscall.SIGCONT)
	leader.AwaitRole(t, 10*time.Second, "standby")
	receiver.Await(t, len(receiver.Webhooks())+50, ready)
	standby.AwaitRole(t, time.Second, "leader")
	if now := pgtest.Value[int64](t, db, "select epoch from attendee_relay.checkpoint"); now != epoch {
		t.Errorf("the woken leader raised the epoch from %d to %d", epoch, now)
	}
	accepted := load.Stop(t)
	t.Logf("%d acceptances, %d requests repeated", accepted, load.Verify(t, receiver, ready))
}

// Its open transaction holds the lock that fences other leaders off, until its session is ended for it.
func TestStandbyTakesOverFromALeaderFrozenInItsTransaction(t *testing.T) {
	t.Parallel()
	const takeover = 2 * time.Second
	db := pgtest.New(t)
	receiver := relaytest.NewReceiver(t, nil)
	event := relaytest.AddEvent(t, db, receiver.URL)
	leader, standby := startPair(t, db, "REPLICATION_TAKEOVER="+takeover.String())

	// The leader has passed the fence and waits for a table when it is frozen. All of the transaction has been sent by
	// then: when it has the table it commits, whether the leader sleeps or not.
	release := holdInTransaction(t, db, event)
	leader.Freeze(t)
	frozen := time.Now()
	standby.AwaitRole(t, takeover+follow, "leader")
	t.Logf("the standby led %v after the freeze", time.Since(frozen).Round(10*time.Millisecond))
	release()
	awaitState(t, db, "delivered", 1)
	leader.Signal(t, syscall.SIGCONT)
	leader.AwaitRole(t, ready, "standby")
	relaytest.Accept(t, db, event, 1)
	awaitState(t, db, "delivered", 2)
	if n := len(receiver.Webhooks()); n != 2 {
		t.Errorf("%d requests for 2 messages", n)
	}
}

// holdInTransaction accepts somebody and returns when the leader, who records that, has passed the fence and waits for
// a table that release gives it.
func holdInTransaction(t *testing.T, db *pgtest.DB, event int64) (release func()) {
	t.Helper()
	lock, err := db.OwnerPool(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lock.Rollback(context.Background()) })
	if _, err := lock.Exec(t.Context(), "lock table attendee_relay.message in share mode"); err != nil {
		t.Fatal(err)
	}
	relaytest.Accept(t, db, event, 1)
	awaitSession(t, db, "wait_event = 'relation'")
	return func() {
		t.Helper()
		if err := lock.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// awaitSession waits until a writing session of a relay is in a state.
func awaitSession(t *testing.T, db *pgtest.DB, state string) {
	t.Helper()
	pgtest.WaitUntil(t, ready, "a writer's session has "+state, func() (bool, string) {
		sessions := pgtest.Values[bool](t, db, "select "+state+" from pg_stat_activity where datname = current_database() "+
			"and application_name = 'attendee-relay/test writer' and wait_event is not null")
		return slices.Contains(sessions, true), fmt.Sprint(sessions)
	})
}

// startPair starts a leader and then a standby.
func startPair(t *testing.T, db *pgtest.DB, settings ...string) (leader, standby *relaytest.Relay) {
	t.Helper()
	leader = relaytest.Run(t, db, settings...)
	leader.AwaitRole(t, ready, "leader")
	standby = relaytest.Run(t, db, settings...)
	standby.AwaitRole(t, ready, "standby")
	return leader, standby
}

// The resolver may be the one that opens the writing session anew, inside one leadership: the successor must find that.
func TestLeaderNamesItsNewSession(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	receiver := relaytest.NewReceiver(t, nil)
	event := relaytest.AddEvent(t, db, receiver.URL)
	startPair(t, db, "OUTBOX_SETTLE=1s")
	const session = `select a.pid from attendee_relay.checkpoint c
		join pg_stat_activity a on a.pid = c.leader_pid and a.backend_start = c.leader_since
		where a.application_name = 'attendee-relay/test writer'`
	before := pgtest.Value[int](t, db, session)
	relaytest.Accept(t, db, event, 1)
	pgtest.WaitUntil(t, ready, "the acceptance waits", func() (bool, string) {
		return pgtest.Value[bool](t, db, "select count(*) = 1 from attendee_relay.acceptance"), ""
	})
	db.Exec(t, fmt.Sprintf("select pg_terminate_backend(%d)", before))
	awaitState(t, db, "delivered", 1)
	if after := pgtest.Values[int](t, db, session); len(after) != 1 || after[0] == before {
		t.Errorf("the writing session was %d and is %v", before, after)
	}
}

// The fence itself, without anybody to end the old leader's session: what it would write is refused, and it must take
// the lead again before it writes.
func TestLeaderWithoutTheFenceWritesNothing(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	receiver := relaytest.NewReceiver(t, nil)
	event := relaytest.AddEvent(t, db, receiver.URL)
	leader := relaytest.Run(t, db)
	leader.AwaitRole(t, ready, "leader")
	const raise = "update attendee_relay.checkpoint set epoch = epoch + 1 returning epoch"
	raised := pgtest.Value[int64](t, db, raise)
	relaytest.Accept(t, db, event, 1)
	awaitState(t, db, "delivered", 1)
	if now := pgtest.Value[int64](t, db, "select epoch from attendee_relay.checkpoint"); now != raised+1 {
		t.Errorf("the epoch is %d and was raised to %d by another: it wrote without taking the lead again", now, raised)
	}
	if !strings.Contains(leader.Stderr(), "another process has taken the lead: nothing was written") {
		t.Error("nothing was refused")
	}
}
