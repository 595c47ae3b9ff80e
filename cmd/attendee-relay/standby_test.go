package main

import (
	"syscall"
	"testing"
	"time"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

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
	standby.AwaitRole(t, 10*time.Second, "leader")
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
	leader.Signal(t, syscall.SIGSTOP)
	standby.AwaitRole(t, takeover+5*time.Second, "leader")
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

// startPair starts a leader and then a standby.
func startPair(t *testing.T, db *pgtest.DB, settings ...string) (leader, standby *relaytest.Relay) {
	t.Helper()
	leader = relaytest.Run(t, db, settings...)
	leader.AwaitRole(t, ready, "leader")
	standby = relaytest.Run(t, db, settings...)
	standby.AwaitRole(t, ready, "standby")
	return leader, standby
}
