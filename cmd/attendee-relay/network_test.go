package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

// busy is what a busy machine may add to a time that is promised.
const busy = time.Second

// directions are the ways in which a network can be stalled. A half-open connection is one that is stalled one way.
var directions = map[string]struct{ up, down bool }{
	"what it sends": {true, false}, "what it gets": {false, true}, "both": {true, true},
}

// A relay whose network stalls shows a fault by the time that the server gives its slot away, and continues by itself
// afterwards.
func TestStalledNetworkIsNoticed(t *testing.T) {
	t.Parallel()
	for _, takeover := range []time.Duration{2 * time.Second, 3 * time.Second} {
		for name, stalled := range directions {
			t.Run(fmt.Sprint(takeover, ", ", name), func(t *testing.T) {
				t.Parallel()
				db := pgtest.New(t)
				receiver := relaytest.NewReceiver(t, nil)
				event := relaytest.AddEvent(t, db, receiver.URL)
				network := relaytest.Proxy(t, db)
				relay := delivering(t, db, event, relaytest.Through(t, db, network), "REPLICATION_TAKEOVER="+takeover.String())

				began := time.Now()
				network.Stall(stalled.up, stalled.down)
				state := relay.Await(t, ready, "is not ready", func(s relaytest.State) bool { return !s.Ready })
				relay.AwaitFault(t, ready, "database_unreachable")
				took := time.Since(began)
				t.Logf("noticed after %v", took.Round(10*time.Millisecond))
				// When only what it sends is lost, it is the server who notices, exactly then.
				if took > takeover+busy || state.Role != "standby" {
					t.Errorf("noticed after %v, then %+v", took, state)
				}

				relaytest.Accept(t, db, event, 1) // while nobody hears of it
				network.Resume()
				healed := time.Now()
				relay.AwaitRole(t, ready, "leader")
				t.Logf("capturing again %v after the stall", time.Since(healed).Round(10*time.Millisecond))
				awaitState(t, db, "delivered", 2)
				t.Logf("delivered %v after the stall", time.Since(healed).Round(10*time.Millisecond))
			})
		}
	}
}

// Half-open connections: the other side has gone silently, and new connections lead to a server that works. All of
// the relay's connections are replaced, and nothing waits long for the old ones.
func TestHalfOpenConnections(t *testing.T) {
	t.Parallel()
	const takeover = 2 * time.Second
	for _, strands := range []string{"at rest", "under load"} {
		t.Run(strands, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			receiver := relaytest.NewReceiver(t, nil)
			event := relaytest.AddEvent(t, db, receiver.URL)
			network := relaytest.Proxy(t, db)
			relay := relaytest.Run(t, db, relaytest.Through(t, db, network), "REPLICATION_TAKEOVER="+takeover.String())
			relay.AwaitRole(t, ready, "leader")
			var load *relaytest.Load
			if strands == "under load" {
				load = relaytest.StartLoad(t, db, relaytest.Seed(t), false, event)
				receiver.Await(t, 50, ready)
			}

			began := time.Now()
			network.Strand()
			relay.Await(t, takeover+busy, "is not ready", func(s relaytest.State) bool { return !s.Ready })
			t.Logf("noticed after %v", time.Since(began).Round(10*time.Millisecond))
			n := len(receiver.Webhooks())
			relay.AwaitRole(t, ready, "leader")
			t.Logf("capturing again after %v", time.Since(began).Round(10*time.Millisecond))
			if load == nil {
				relaytest.Accept(t, db, event, 1)
			}
			receiver.Await(t, n+1, ready)
			took := time.Since(began)
			t.Logf("delivering again after %v", took.Round(10*time.Millisecond))
			if took > 15*time.Second+busy {
				t.Errorf("delivering stood still for %v", took)
			}
			if load != nil {
				accepted := load.Stop(t)
				t.Logf("%d acceptances, %d requests repeated", accepted, load.Verify(t, receiver, time.Minute))
			}
		})
	}
}

// checkMetric fails the test when /metrics lacks a line.
func checkMetric(t *testing.T, relay *relaytest.Relay, line string) {
	t.Helper()
	if _, text := relay.Get(t, "/metrics"); !strings.Contains(text, "\n"+line+"\n") {
		t.Errorf("there is no metric %q", line)
	}
}
