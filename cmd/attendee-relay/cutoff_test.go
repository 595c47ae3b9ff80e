package main

import (
	"testing"
	"time"

	"attendee-relay/internal/cutproxy"
	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

// A leader that is cut off under load is followed by the standby in time. What it was writing it does not write later.
func TestStandbyTakesOverFromALeaderThatIsCutOff(t *testing.T) {
	t.Parallel()
	const takeover = 2 * time.Second
	for name, cut := range map[string]func(*cutproxy.Proxy){
		"reset":                  (*cutproxy.Proxy).Refuse,
		"stalled, what it sends": func(p *cutproxy.Proxy) { p.Stall(true, false) },
		"stalled, what it gets":  func(p *cutproxy.Proxy) { p.Stall(false, true) },
		"stalled, both":          func(p *cutproxy.Proxy) { p.Stall(true, true) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			receiver := relaytest.NewReceiver(t, nil)
			event := relaytest.AddEvent(t, db, receiver.URL)
			network, leader, standby := startCutOff(t, db, takeover)
			load := relaytest.StartLoad(t, db, relaytest.Seed(t), false, event)
			receiver.Await(t, 100, ready)

			began := time.Now()
			cut(network)
			standby.AwaitRole(t, takeover+follow, "leader")
			t.Logf("the standby led %v after the cut", time.Since(began).Round(10*time.Millisecond))
			leader.Await(t, busy, "is not ready", func(s relaytest.State) bool { return !s.Ready })
			t.Logf("the leader knew it %v after the cut", time.Since(began).Round(10*time.Millisecond))
			receiver.Await(t, len(receiver.Webhooks())+50, ready)
			epoch := pgtest.Value[int64](t, db, "select epoch from attendee_relay.checkpoint")

			network.Resume()
			leader.AwaitRole(t, ready, "standby")
			t.Logf("the old leader stood by %v after the cut", time.Since(began).Round(10*time.Millisecond))
			receiver.Await(t, len(receiver.Webhooks())+50, ready)
			standby.AwaitRole(t, time.Second, "leader")
			if now := pgtest.Value[int64](t, db, "select epoch from attendee_relay.checkpoint"); now != epoch {
				t.Errorf("the old leader raised the epoch from %d to %d", epoch, now)
			}
			checkMetric(t, leader, "attendee_relay_leader 0")
			checkMetric(t, standby, "attendee_relay_leader 1")
			accepted := load.Stop(t)
			t.Logf("%d acceptances, %d requests repeated", accepted, load.Verify(t, receiver, ready+30*time.Second))
		})
	}
}

// Its open transaction holds the fence. What it had sent by then it does not commit when it is back.
func TestStandbyTakesOverFromALeaderCutOffInItsTransaction(t *testing.T) {
	t.Parallel()
	const takeover = 2 * time.Second
	for name, stalled := range directions {
		t.Run("stalled, "+name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			receiver := relaytest.NewReceiver(t, nil)
			event := relaytest.AddEvent(t, db, receiver.URL)
			network, leader, standby := startCutOff(t, db, takeover)

			release := holdInTransaction(t, db, event)
			began := time.Now()
			network.Stall(stalled.up, stalled.down)
			standby.AwaitRole(t, takeover+follow, "leader")
			t.Logf("the standby led %v after the cut", time.Since(began).Round(10*time.Millisecond))
			release()
			awaitState(t, db, "delivered", 1)
			network.Resume()
			leader.AwaitRole(t, ready, "standby")
			relaytest.Accept(t, db, event, 1)
			awaitState(t, db, "delivered", 2)
			if n := len(receiver.Webhooks()); n != 2 {
				t.Errorf("%d requests for 2 messages", n)
			}
		})
	}
}

// A standby has no stream to notice anything by: its next try, within a second, fails after ConnectTimeout.
func TestStandbyNoticesThatItIsCutOff(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	network := relaytest.Proxy(t, db)
	relaytest.Run(t, db).AwaitRole(t, ready, "leader")
	standby := relaytest.Run(t, db, relaytest.Through(t, db, network))
	standby.AwaitRole(t, ready, "standby")
	checkMetric(t, standby, "attendee_relay_leader 0")
	began := time.Now()
	network.Stall(true, true)
	standby.AwaitFault(t, 10*time.Second, "database_unreachable")
	t.Logf("noticed after %v", time.Since(began).Round(10*time.Millisecond))
	network.Resume()
	standby.AwaitRole(t, ready, "standby")
}

// startCutOff starts a leader whose connections lead through a proxy, and a standby whose do not.
func startCutOff(t *testing.T, db *pgtest.DB,
	takeover time.Duration) (network *cutproxy.Proxy, leader, standby *relaytest.Relay) {
	t.Helper()
	network = relaytest.Proxy(t, db)
	settings := []string{"REPLICATION_TAKEOVER=" + takeover.String()}
	leader = relaytest.Run(t, db, append(settings, relaytest.Through(t, db, network))...)
	leader.AwaitRole(t, ready, "leader")
	standby = relaytest.Run(t, db, settings...)
	standby.AwaitRole(t, ready, "standby")
	return network, leader, standby
}
