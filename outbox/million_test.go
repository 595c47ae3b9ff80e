package outbox_test

import (
	"crypto/md5"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"

	"attendee-relay/internal/relaytest"
	"attendee-relay/outbox"
)

// Claims beside dead endpoints, of which half are paused and half hang with all the places that they may have, with a
// backlog of 20,000 messages or OUTBOX_ROWS of them. Statistics are as old as they are when a backlog has just come
// about. The times are to be read; what fails here is a claim that reads the backlog.
func TestClaimsBesideDeadEndpoints(t *testing.T) {
	t.Parallel()
	if testing.Short() || relaytest.Racing() {
		t.Skip("it measures")
	}
	rows := 20_000
	if text := os.Getenv("OUTBOX_ROWS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("OUTBOX_ROWS: %v", err)
		}
		rows = n
	}
	const healthy, dead, claims = 50, 50, 200
	rig, q := newQueue(t, healthy, 1)
	// The least is compared: what else runs on the machine only adds to it, and a plan that reads the backlog takes long
	// each time.
	measure := func(limit int, busy map[uuid.UUID]int) (least time.Duration, all string) {
		took := make([]time.Duration, claims)
		for i := range took {
			began := time.Now()
			got, err := q.Claim(t.Context(), outbox.ClaimRequest{Limit: limit, Lease: time.Minute, PerEndpoint: 8, Busy: busy,
				Trial: 128, TrialMore: 0})
			took[i] = time.Since(began)
			if err != nil || len(got) != min(limit, healthy) {
				t.Fatalf("%d messages are claimed, %v", len(got), err)
			}
			rig.DB.Exec(t, "update attendee_relay.pending set lease = null, lease_ends = null where lease is not null")
		}
		at := func(p float64) time.Duration { return relaytest.Percentile(took, p).Round(10 * time.Microsecond) }
		if at(0) > 100*time.Millisecond {
			t.Errorf("the shortest claim took %v", at(0))
		}
		return at(0), fmt.Sprintf("median %v, min %v, p99 %v", at(.5), at(0), at(.99))
	}
	const few = 20 // fewer than the endpoints have places: a claim then counts those that have something due
	_, all := measure(200, nil)
	t.Logf("claims of %d messages, one of each healthy endpoint, alone: %s", healthy, all)
	alone, all := measure(few, nil)
	t.Logf("claims of %d messages, alone: %s", few, all)
	rig.DB.Exec(t, `insert into attendee_relay.message (message_id, identity, delivery_key, commit_lsn, attendee_id,
		event_id, endpoint, webhook_url, payload)
		select 'm' || i, i, i, '0/1', i, '2', md5('dead' || i % $2)::uuid, 'https://dead.example/' || i % $2, '{}'
			from generate_series(1, $1) as i`, rows, dead)
	rig.DB.Exec(t, `insert into attendee_relay.pending (id, endpoint, lane, due_at)
		select id, endpoint, attendee_relay.lane(attendee_id), now() from attendee_relay.message where event_id = '2'`)
	rig.DB.Exec(t, `insert into attendee_relay.endpoint (id, webhook_url, state, failures, probe_at, probe_wait)
		select md5('dead' || i)::uuid, 'https://dead.example/' || i, 'paused', 10, now() + interval '1 hour',
			interval '1 hour' from generate_series(0, $1) as i`, dead/2-1)
	busy := map[uuid.UUID]int{}
	for i := dead / 2; i < dead; i++ {
		busy[md5.Sum(fmt.Append(nil, "dead", i))] = 8
	}
	_, all = measure(200, busy)
	t.Logf("beside %d dead endpoints with %d messages: %s", dead, rows, all)
	// With statistics that know of the backlog another plan may seem better.
	rig.DB.Exec(t, "analyze attendee_relay.pending, attendee_relay.message, attendee_relay.endpoint")
	beside, all := measure(few, busy)
	t.Logf("claims of %d messages beside them, with new statistics: %s", few, all)
	if beside > 10*time.Millisecond && beside > 5*alone {
		t.Errorf("the shortest claim took %v, and %v alone", beside, alone)
	}
}
