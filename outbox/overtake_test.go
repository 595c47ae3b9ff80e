package outbox_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"attendee-relay/internal/capturetest"
	"attendee-relay/outbox"
)

// acceptAgainAtB gives the first person's hook the URL b and accepts the person a second time.
func acceptAgainAtB(t *testing.T, rig *capturetest.Rig) {
	t.Helper()
	rig.DB.Exec(t, "update hooks set url = 'https://example.org/b' where person = 1")
	rig.DB.Exec(t, "update people set status = 'Cancelled' where id = 1")
	rig.DB.Exec(t, "update people set status = 'Accepted' where id = 1")
	rig.Settled(t)
	proven(t, rig)
}

// An organiser changes the URL while a message waits; the attendee is accepted again. The later acceptance must not
// overtake.
func TestALaterAcceptanceDoesNotOvertakeOneThatFollowsItsURL(t *testing.T) {
	t.Parallel()
	const leased = "lease = gen_random_uuid(), lease_ends = now() + interval '1 hour'"
	for name, earlier := range map[string]string{
		"waiting":                      "due_at = now() + interval '1 hour'",
		"in flight":                    leased,
		"in flight for the first time": leased + ", attempts = 0, step = 0, retry = false",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig, q := failedOnce(t, "(1, 'k', 'https://example.org/a', null)")
			rig.DB.Exec(t, "update attendee_relay.pending set "+earlier)
			acceptAgainAtB(t, rig)
			later := claim(t, q, 10, 8, time.Minute, nil)
			if len(later) != 1 || !later[0].Stale() || later[0].URL != "https://example.org/b" {
				t.Fatalf("claimed %+v", later)
			}
			if left, err := q.Refresh(t.Context(), later); err != nil || len(left) != 0 {
				t.Fatalf("%d are sent before the earlier one, %v", len(left), err)
			}
			if name != "waiting" { // it fails, and has another URL by now
				rig.DB.Exec(t, "update attendee_relay.pending set lease = null, lease_ends = null, due_at = now(), attempts = 1, "+
					"step = 1, retry = true where id = 1")
				got, err := q.Refresh(t.Context(), claim(t, q, 1, 1, time.Minute, map[uuid.UUID]int{later[0].Endpoint: 1}))
				if err != nil || len(got) != 0 {
					t.Fatalf("the earlier one is sent to its old URL: %+v, %v", got, err)
				}
			}
			rig.DB.Exec(t, "update attendee_relay.pending set due_at = now()")
			proven(t, rig)
			first := claim(t, q, 10, 8, time.Minute, nil)
			if len(first) != 1 || first[0].Row != 1 || first[0].URL != "https://example.org/b" {
				t.Fatalf("the earlier one is not next: %+v", first)
			}
			settle(t, q, outbox.Settled{Applied: 1}, outbox.Settlement{Message: first[0], Outcome: outbox.Delivered(attempt)})
			if second := claim(t, q, 10, 8, time.Minute, nil); len(second) != 1 || second[0].Row == 1 {
				t.Errorf("then comes %+v", second)
			}
		})
	}
}

// The earlier one may come to the endpoint between the claim of the later and the question where it goes.
func TestALaterAcceptanceGivesWayToOneThatHasJustCome(t *testing.T) {
	t.Parallel()
	rig, q := failedOnce(t, "(1, 'k', 'https://example.org/a', null)")
	earlier := claim(t, q, 1, 8, time.Minute, nil)
	acceptAgainAtB(t, rig)
	later := claim(t, q, 10, 8, time.Minute, nil)
	if left, err := q.Refresh(t.Context(), earlier); err != nil || len(left) != 0 || len(later) != 1 {
		t.Fatalf("%d are sent to the old URL, %v; %d claimed", len(left), err, len(later))
	}
	if left, err := q.Refresh(t.Context(), later); err != nil || len(left) != 0 {
		t.Errorf("%d are sent before the earlier one, %v", len(left), err)
	}
}

// Where the database does not say what goes before a message, it is not sent; those that nothing goes before are.
func TestWhatMayHaveToWaitIsNotSentWhereNobodyKnows(t *testing.T) {
	t.Parallel()
	rig, q := failedOnce(t, "(1, 'k', 'https://example.org/a', null), (2, 'k', 'https://example.org/a', null)")
	rig.DB.Exec(t, "update attendee_relay.pending set due_at = now() + interval '1 hour' where id = (select id from "+
		"attendee_relay.message where attendee_id = '1')")
	acceptAgainAtB(t, rig)
	claimed := claim(t, q, 10, 8, time.Minute, nil)
	rig.DB.Exec(t, "alter function attendee_relay.lane rename to away")
	left, err := q.Refresh(t.Context(), claimed)
	if err == nil || len(claimed) != 2 || len(left) != 1 || left[0].URL != "https://example.org/a" {
		t.Errorf("of %d messages %+v are sent, %v", len(claimed), left, err)
	}
	rig.DB.Exec(t, "alter function attendee_relay.away rename to lane")
}
