package main

import (
	"math/rand/v2"
	"testing"
	"time"

	"attendee-relay/internal/cutproxy"
	"attendee-relay/internal/pgserver"
	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

// outage is one way for Postgres to be away, or nearly so, and what the relay says meanwhile.
type outage struct {
	name  string
	begin func(t *testing.T, server *pgserver.Server, network *cutproxy.Proxy)
	end   func(t *testing.T, server *pgserver.Server, network *cutproxy.Proxy)
	fault string // "": it goes on
}

func resume(_ *testing.T, _ *pgserver.Server, network *cutproxy.Proxy) { network.Resume() }

var outages = []outage{
	{"frozen", func(t *testing.T, server *pgserver.Server, _ *cutproxy.Proxy) {
		t.Cleanup(server.Continue) // first of all: the others would wait for it
		if err := server.Pause(t.Context()); err != nil {
			t.Fatal(err)
		}
	}, func(_ *testing.T, server *pgserver.Server, _ *cutproxy.Proxy) { server.Continue() }, "database_unreachable"},
	{"refusing", func(_ *testing.T, _ *pgserver.Server, network *cutproxy.Proxy) {
		network.Refuse()
	}, resume, "database_unreachable"},
	{"crashed", func(t *testing.T, server *pgserver.Server, _ *cutproxy.Proxy) {
		if err := server.Crash(); err != nil {
			t.Fatal(err)
		}
	}, func(t *testing.T, server *pgserver.Server, _ *cutproxy.Proxy) { restart(t, server) }, "database_unreachable"},
	{"slow", func(_ *testing.T, _ *pgserver.Server, network *cutproxy.Proxy) {
		network.Delay(50 * time.Millisecond)
	}, resume, ""},
	{"cut again and again", func(_ *testing.T, _ *pgserver.Server, network *cutproxy.Proxy) {
		for range 5 {
			network.Cut()
			time.Sleep(rand.N(300 * time.Millisecond)) // the moment is what is random
		}
	}, resume, ""},
	{"restarted again and again", func(t *testing.T, server *pgserver.Server, _ *cutproxy.Proxy) {
		for range 5 {
			restart(t, server)
			time.Sleep(rand.N(300 * time.Millisecond))
		}
	}, resume, ""},
}

// One relay outlives all of them, each under load, says what it cannot reach, and loses and repeats nothing.
func TestOutagesOfPostgres(t *testing.T) {
	t.Parallel()
	const takeover = 2 * time.Second
	server := pgtest.Start(t, nil)
	db := pgtest.On(t, server)
	receiver := relaytest.NewReceiver(t, nil)
	event := relaytest.AddEvent(t, db, receiver.URL)
	network := relaytest.Proxy(t, db)
	relay := relaytest.Run(t, db, relaytest.Through(t, db, network), "REPLICATION_TAKEOVER="+takeover.String())
	relay.AwaitRole(t, ready, "leader")
	load := relaytest.StartLoad(t, db, relaytest.Seed(t), true, event)
	receiver.Await(t, 50, ready)

	for _, o := range outages {
		began := time.Now()
		o.begin(t, server, network)
		if o.fault != "" {
			relay.AwaitFault(t, takeover+busy, o.fault)
			t.Logf("%s: noticed after %v", o.name, time.Since(began).Round(10*time.Millisecond))
		} else {
			receiver.Await(t, len(receiver.Webhooks())+50, ready)
		}
		o.end(t, server, network)
		ended, n := time.Now(), len(receiver.Webhooks())
		relay.AwaitRole(t, ready, "leader")
		captured := time.Since(ended)
		receiver.Await(t, n+1, ready)
		t.Logf("%s: captured %v and delivered %v after its end", o.name, captured.Round(10*time.Millisecond),
			time.Since(ended).Round(10*time.Millisecond))
		receiver.Await(t, n+50, ready)
	}
	accepted := load.Stop(t)
	t.Logf("%d acceptances, %d requests repeated", accepted, load.Verify(t, receiver, time.Minute))
}
