package main

import (
	"testing"
	"time"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

// At 50 acceptances a second and nothing else to do, commit to receipt. It runs alone, against a Postgres as durable as
// an operator's; the limit is loose, for the machine may be busy, and the figures are what to read.
func TestLatencyAtFiftyASecond(t *testing.T) {
	const count, every = 250, 20 * time.Millisecond
	server := pgtest.Start(t, map[string]string{"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"})
	db := pgtest.On(t, server)
	receiver := relaytest.NewReceiver(t, nil)
	event := relaytest.AddEvent(t, db, receiver.URL)
	relaytest.Run(t, db, "LOG_LEVEL=info").AwaitRole(t, 20*time.Second, "leader")

	tick := time.NewTicker(every)
	defer tick.Stop()
	for range count {
		relaytest.Accept(t, db, event, 1)
		<-tick.C
	}
	received := receiver.Await(t, count, 20*time.Second)
	took := make([]time.Duration, count)
	for i, w := range received[:count] {
		// Both are the clock of this machine; Postgres takes it right before the commit's flush.
		took[i] = w.At.Sub(pgtest.Value[time.Time](t, db,
			"select committed_at from attendee_relay.outbox where message_id = $1", w.ID))
	}
	median := relaytest.Percentile(took, .5)
	t.Logf("%d acceptances, commit to receipt: median %v, min %v, p99 %v, max %v", count,
		median.Round(10*time.Microsecond),
		relaytest.Percentile(took, 0).Round(10*time.Microsecond), relaytest.Percentile(took, .99).Round(10*time.Microsecond),
		relaytest.Percentile(took, 1).Round(10*time.Microsecond))
	if median > 100*time.Millisecond {
		t.Errorf("the median is %v", median)
	}
}
