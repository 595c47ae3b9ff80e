package main

import (
	"math/rand/v2"
	"testing"
	"time"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

// Whatever the relay was doing when it was killed: every acceptance is in the outbox once, and each is delivered.
func TestKilledRelayLosesAndRepeatsNothing(t *testing.T) {
	t.Parallel()
	kills := 20
	if relaytest.Racing() {
		kills = 8 // each start takes several times as long
	}
	db := pgtest.New(t)
	receiver := relaytest.NewReceiver(t, nil)
	events := []int64{relaytest.AddEvent(t, db, receiver.URL+"/one"), relaytest.AddEvent(t, db, receiver.URL+"/two")}
	relay := relaytest.Run(t, db)
	relay.AwaitRole(t, 20*time.Second, "leader")

	seed := relaytest.Seed(t)
	random := rand.New(rand.NewPCG(seed, uint64(kills)))
	load := relaytest.StartLoad(t, db, seed, false, events...)
	for kill := range kills {
		if kill%2 == 0 {
			relay.AwaitRole(t, 20*time.Second, "leader") // at work: in a batch, in a request, at rest
		}
		time.Sleep(time.Duration(random.Int64N(int64(600 * time.Millisecond)))) // the moment is what is random
		relay.Kill()
		relay = relaytest.Run(t, db)
	}
	relay.AwaitRole(t, 20*time.Second, "leader")
	accepted := load.Stop(t)
	repeated := load.Verify(t, receiver, 60*time.Second)
	t.Logf("%d acceptances, %d kills, %d requests repeated", accepted, kills, repeated)
}

// The same when Postgres crashes under a relay that stays up, and heals by itself.
func TestCrashedPostgresLosesAndRepeatsNothing(t *testing.T) {
	t.Parallel()
	const crashes = 3
	server := pgtest.Start(t, nil)
	db := pgtest.On(t, server)
	receiver := relaytest.NewReceiver(t, nil)
	event := relaytest.AddEvent(t, db, receiver.URL)
	relay := relaytest.Run(t, db)
	relay.AwaitRole(t, 20*time.Second, "leader")

	seed := relaytest.Seed(t)
	random := rand.New(rand.NewPCG(seed, crashes))
	load := relaytest.StartLoad(t, db, seed, true, event)
	for range crashes {
		time.Sleep(time.Second + time.Duration(random.Int64N(int64(time.Second))))
		if err := server.Crash(); err != nil {
			t.Fatal(err)
		}
		if err := server.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		started := time.Now()
		relay.AwaitRole(t, 20*time.Second, "leader")
		t.Logf("the relay captured again %v after Postgres", time.Since(started).Round(time.Millisecond))
	}
	accepted := load.Stop(t)
	repeated := load.Verify(t, receiver, 60*time.Second)
	t.Logf("%d acceptances, %d crashes of Postgres, %d requests repeated", accepted, crashes, repeated)
}
