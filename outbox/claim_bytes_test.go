package outbox_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"attendee-relay/outbox"
)

// Claims take no more large bodies than there is room for, and small ones beside them.
func TestClaimIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		bytes        int
		alone        bool
		large, small int
	}{
		"room for three":          {bytes: 3500, large: 3, small: 4},
		"no room":                 {bytes: 500, small: 4},
		"none here, so one fits":  {bytes: 500, alone: true, large: 1, small: 4},
		"none here, and room":     {bytes: 2500, alone: true, large: 2, small: 4},
		"room for more than all":  {bytes: 1 << 20, large: 5, small: 4},
		"none here, room for all": {bytes: 1 << 20, alone: true, large: 5, small: 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig, q := newQueue(t, 3, 1, 2, 3)
			rig.DB.Exec(t, `update attendee_relay.message set payload = repeat('x', case when n % 2 = 1 then 1000 else 10 end)
				from (select id, row_number() over (order by id) from attendee_relay.message) as numbered (numbered, n)
				where numbered = id`)
			got, err := q.Claim(t.Context(), outbox.ClaimRequest{Limit: 100, Lease: time.Minute, PerEndpoint: 8,
				Trial: 100, TrialMore: 100, SmallBody: 100, LargeBytes: c.bytes, Alone: c.alone})
			if err != nil {
				t.Fatal(err)
			}
			large, small := 0, 0
			for _, m := range got {
				if len(m.Payload) > 100 {
					large++
				} else {
					small++
				}
			}
			if large != c.large || small != c.small {
				t.Errorf("%d large and %d small ones were claimed, want %d and %d", large, small, c.large, c.small)
			}
		})
	}
}

// Probes that have no room wait for theirs, and are not put off.
func TestProbesAreBoundedInBytes(t *testing.T) {
	t.Parallel()
	rig, q := newQueue(t, 3, 1)
	rig.DB.Exec(t, "update attendee_relay.message set payload = repeat('x', $1::int)", outbox.ProbeBytes/2+1)
	rig.DB.Exec(t, "update attendee_relay.endpoint set state = 'paused', probe_at = now(), probe_wait = '1 min'")
	probed := map[uuid.UUID]bool{}
	for range 3 {
		got, err := q.Probe(t.Context(), 10, time.Minute)
		if err != nil || len(got) != 1 || probed[got[0].Endpoint] {
			t.Fatalf("%d probes, %v; want the next one", len(got), err)
		}
		probed[got[0].Endpoint] = true
	}
}
