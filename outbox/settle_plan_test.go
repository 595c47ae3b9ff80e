package outbox_test

import (
	"slices"
	"testing"
	"time"

	"attendee-relay/internal/relaytest"
	"attendee-relay/outbox"
)

// A backlog that came about after pending was last seen empty: by its statistics it is one row, and reading it from end to end for each
// outcome of a batch would seem to cost no more than looking one up. That took 2.8 s for a batch that was answered and 8.4 s for one that
// was not; a batch takes 15 and 30 ms, and half a second beside all other tests on two cores.
func TestSettlingABacklogThatStatisticsDoNotKnowOf(t *testing.T) {
	t.Parallel()
	if testing.Short() || relaytest.Racing() {
		t.Skip("it measures")
	}
	const backlog, endpoints, batch, batches = 20_000, 100, 500, 5
	rig, q := newQueue(t, 1, 1)
	fill := func() {
		rig.DB.Exec(t, `insert into attendee_relay.pending (id, endpoint, lane, due_at)
			select id, endpoint, hashtextextended(attendee_id, 0), now() from attendee_relay.message where event_id = '2'`)
	}
	rig.DB.Exec(t, "delete from attendee_relay.pending")
	rig.DB.Exec(t, `insert into attendee_relay.message (message_id, identity, delivery_key, commit_lsn, attendee_id, event_id, endpoint, webhook_url, payload)
		select 'm' || i, i, i, '0/1', i, '2', md5('e' || i % $2)::uuid, 'https://e.example/' || i % $2, '{}' from generate_series(1, $1) as i`, backlog, endpoints)
	rig.DB.Exec(t, "analyze attendee_relay.message")
	fill()
	rig.DB.Exec(t, "delete from attendee_relay.pending")
	rig.DB.Exec(t, "analyze attendee_relay.pending")
	fill()
	proven(t, rig)

	attempt := outbox.Attempt{StartedAt: time.Now(), Status: 204}
	for _, c := range []struct {
		name    string
		outcome func() outbox.Outcome
	}{
		{"delivered", func() outbox.Outcome { return outbox.Delivered(attempt) }},
		{"interrupted", func() outbox.Outcome { return outbox.Interrupted(time.Hour, attempt) }},
		{"delivered after others", func() outbox.Outcome { return outbox.Delivered(attempt) }},
	} {
		var took []time.Duration
		for range batches {
			var settlements []outbox.Settlement
			for _, m := range claim(t, q, batch, 2*batch, time.Minute, nil) {
				settlements = append(settlements, outbox.Settlement{Message: m, Outcome: c.outcome()})
			}
			began := time.Now()
			settle(t, q, outbox.Settled{Applied: batch}, settlements...)
			took = append(took, time.Since(began))
		}
		median := relaytest.Percentile(took, .5)
		t.Logf("%s: %d of %d: median %v, min %v, max %v", c.name, batch, backlog, median, slices.Min(took), slices.Max(took))
		if median > 1500*time.Millisecond {
			t.Errorf("%s: the median of a batch is %v", c.name, median)
		}
	}
}
