package outbox_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"attendee-relay/internal/capturetest"
	"attendee-relay/internal/pgtest"
	"attendee-relay/outbox"
)

// endpointRow is how the only endpoint stands: state, failures, and the wait before its next probe in seconds.
func endpointRow(t *testing.T, rig *capturetest.Rig) string {
	t.Helper()
	return pgtest.Value[string](t, rig.DB,
		`select format('%s %s %s', state, failures, extract(epoch from probe_wait)::int) from attendee_relay.endpoint`)
}

// fail claims and fails n messages, one after the other.
func fail(t *testing.T, q *outbox.Queue, n int) {
	t.Helper()
	for range n {
		got := claim(t, q, 1, 8, time.Minute, nil)
		if len(got) != 1 {
			t.Fatalf("%d messages are claimed", len(got))
		}
		settle(t, q, outbox.Settled{Applied: 1},
			outbox.Settlement{Message: got[0], Outcome: outbox.RetryIn(time.Hour, attempt)})
	}
}

func people(n int) []int {
	var ids []int
	for id := range n {
		ids = append(ids, id+1)
	}
	return ids
}

func TestFailuresInARowPauseAnEndpoint(t *testing.T) {
	t.Parallel()
	rig, q := newQueue(t, 1, people(20)...)
	breaker := outbox.Breaker{Failures: 10, Probe: time.Minute}
	// Two relays count together.
	other := outbox.NewQueue(rig.DB.Pool(t), "test", breaker, nil)
	fail(t, q, 4)
	fail(t, other, 5)
	if row := endpointRow(t, rig); row != "active 9 " {
		t.Fatalf("after nine failures: %s", row)
	}
	// One at a time after a failure until a success.
	if got := claim(t, q, 100, 8, time.Minute, nil); len(got) != 1 || !got[0].Standing.Trial {
		t.Fatalf("%d messages are claimed of an endpoint that fails: %+v", len(got), got)
	} else {
		settle(t, q, outbox.Settled{Applied: 1},
			outbox.Settlement{Message: got[0], Outcome: outbox.RetryIn(time.Hour, attempt)})
	}
	if row := endpointRow(t, rig); row != "paused 10 60" {
		t.Fatalf("after ten failures: %s", row)
	}
	if got := claim(t, q, 100, 8, time.Minute, nil); len(got) != 0 {
		t.Errorf("%d messages of a paused endpoint are claimed", len(got))
	}
	if soon := pgtest.Value[bool](t, rig.DB,
		"select probe_at between now() + interval '40 s' and now() + interval '80 s' from attendee_relay.endpoint"); !soon {
		t.Error("the first probe is not due after a minute")
	}
	if got, err := q.Probe(t.Context(), 10, time.Minute); err != nil || len(got) != 0 {
		t.Errorf("probed before it was due: %d, %v", len(got), err)
	}
}

// Who asks for an hour is not probed before, also when it was paused by that very answer.
func TestAPauseLastsAsLongAsItIsAskedFor(t *testing.T) {
	t.Parallel()
	rig, q := newQueue(t, 1, people(10)...)
	fail(t, q, 9)
	settle(t, q, outbox.Settled{Applied: 1}, outbox.Settlement{Message: claim(t, q, 1, 8, time.Minute, nil)[0],
		Outcome: outbox.RetryIn(time.Hour, attempt).Asking(time.Hour)})
	if left := pgtest.Value[bool](t, rig.DB,
		"select state = 'paused' and probe_at > now() + interval '50 minutes' from attendee_relay.endpoint"); !left {
		t.Error("it is probed before")
	}
}

// Endpoints that have nothing due are no crowd, whatever waits for them.
func TestWaitingEndpointsDoNotCrowdOutOne(t *testing.T) {
	t.Parallel()
	rig, q := newQueue(t, 1, people(20)...)
	rig.DB.Exec(t, `with made as (insert into attendee_relay.message (message_id, identity, delivery_key, commit_lsn,
		attendee_id, event_id, endpoint, webhook_url)
			select 'w' || i, i, i, '0/1', -i, '1', gen_random_uuid(), 'x' from generate_series(1, 100) as i returning id,
				endpoint)
		insert into attendee_relay.pending (id, endpoint, lane, due_at, retry) select id, endpoint, id, now() + interval
			'2 hours', true from made`)
	if got := claim(t, q, 20, 8, time.Minute, nil); len(got) != 8 {
		t.Errorf("%d are claimed beside a hundred endpoints that wait", len(got))
	}
	// With a crowd that has something due, each gets one.
	rig.DB.Exec(t, "update attendee_relay.pending set due_at = now(), retry = false, lease = null, lease_ends = null")
	proven(t, rig)
	most := map[uuid.UUID]int{}
	for _, m := range claim(t, q, 20, 8, time.Minute, nil) {
		if most[m.Endpoint]++; most[m.Endpoint] > 1 {
			t.Errorf("endpoint %s gets %d of 20 places while a hundred wait", m.Endpoint, most[m.Endpoint])
		}
	}
}

func TestASuccessBetweenFailuresStartsTheCountAgain(t *testing.T) {
	t.Parallel()
	rig, q := newQueue(t, 1, people(40)...)
	for range 3 {
		fail(t, q, 9)
		got := claim(t, q, 1, 8, time.Minute, nil)
		settle(t, q, outbox.Settled{Applied: 1}, outbox.Settlement{Message: got[0], Outcome: outbox.Delivered(attempt)})
		if row := endpointRow(t, rig); row != "active 0 " {
			t.Fatalf("after a success: %s", row)
		}
	}
	// In one batch, too, only those after the last success count.
	var batch []outbox.Settlement
	for i, m := range claim(t, q, 8, 8, time.Minute, nil) {
		outcome := outbox.RetryIn(time.Hour, attempt)
		if i == 5 {
			outcome = outbox.Delivered(attempt)
		}
		batch = append(batch, outbox.Settlement{Message: m, Outcome: outcome})
	}
	settle(t, q, outbox.Settled{Applied: 8}, batch...)
	if row := endpointRow(t, rig); row != "active 2 " {
		t.Errorf("two failures after a success: %s", row)
	}
}

func TestRecoveryIsSlowAndEndsWithTimeOrAFailure(t *testing.T) {
	t.Parallel()
	rig, q := newQueue(t, 1, people(30)...)
	fail(t, q, 10)
	settle(t, q, outbox.Settled{Applied: 1}, outbox.Settlement{Message: *probe(t, rig, q),
		Outcome: outbox.Delivered(attempt)})
	// A claimer that knows nothing of the endpoint gets one; one that holds back what it must gets more.
	first := claim(t, q, 100, 8, time.Minute, nil)
	if len(first) != 1 || !first[0].Standing.Recovering || first[0].Standing.Recovered > time.Minute {
		t.Fatalf("of an endpoint that comes back %d are claimed: %+v", len(first), first)
	}
	more := claim(t, q, 100, 8, time.Minute, map[uuid.UUID]int{first[0].Endpoint: 5})
	if len(more) != 3 || !more[0].Standing.Recovering {
		t.Fatalf("with five held, %d are claimed", len(more))
	}
	settle(t, q, outbox.Settled{Applied: 2}, outbox.Settlement{Message: first[0], Outcome: outbox.Delivered(attempt)},
		outbox.Settlement{Message: more[0], Outcome: outbox.RetryIn(time.Hour, attempt)})
	if row := endpointRow(t, rig); row != "paused 1 60" {
		t.Errorf("a failure while it recovers: %s", row)
	}
	settle(t, q, outbox.Settled{Applied: 1}, outbox.Settlement{Message: *probe(t, rig, q),
		Outcome: outbox.Delivered(attempt)})
	rig.DB.Exec(t, "update attendee_relay.endpoint set since = now() - interval '61 s', probe_wait = interval '15 "+
		"minutes'")
	// Over a minute later it counts as well; one failure does not pause it again.
	settle(t, q, outbox.Settled{Applied: 1},
		outbox.Settlement{Message: more[1], Outcome: outbox.RetryIn(time.Hour, attempt)})
	if row := endpointRow(t, rig); row != "active 1 " {
		t.Errorf("a failure after a minute: %s", row)
	}
	rig.DB.Exec(t, "update attendee_relay.endpoint set state = 'recovering', failures = 0, since = now() - interval '61 "+
		"s'")
	if _, err := q.Probe(t.Context(), 1, time.Minute); err != nil {
		t.Fatal(err)
	}
	if row := endpointRow(t, rig); row != "active 0 " {
		t.Errorf("after a minute without a failure: %s", row)
	}
	if got := claim(t, q, 100, 8, time.Minute, nil); len(got) != 8 || got[0].Standing.Trial {
		t.Errorf("%d are claimed of an endpoint that is well again", len(got))
	}
}

func TestA410DisablesAnEndpoint(t *testing.T) {
	t.Parallel()
	rig, q := newQueue(t, 1, people(5)...)
	two := claim(t, q, 2, 8, time.Minute, nil)
	gone := attempt
	gone.Status, gone.Error = 410, "gone"
	settle(t, q, outbox.Settled{Applied: 1}, outbox.Settlement{Message: two[0], Outcome: outbox.Gone(gone)})
	// What was in flight may still arrive; that does not enable it.
	settle(t, q, outbox.Settled{Applied: 1}, outbox.Settlement{Message: two[1], Outcome: outbox.Delivered(attempt)})
	if row := endpointRow(t, rig); row != "disabled 0 " {
		t.Errorf("after a 410: %s", row)
	}
	if got := claim(t, q, 100, 8, time.Minute, nil); len(got) != 0 {
		t.Errorf("%d messages of a disabled endpoint are claimed", len(got))
	}
	if m := probe(t, rig, q); m != nil {
		t.Error("a disabled endpoint is probed")
	}
	row := pgtest.Value[string](t, rig.DB,
		"select format('%s %s', state, attempts) from attendee_relay.outbox order by created_at, message_id limit 1")
	if row == "dead 1" {
		t.Error("the message that was answered 410 is given up")
	}
}

func TestOfAnEndpointThatIsWellNothingIsWritten(t *testing.T) {
	t.Parallel()
	rig, q := newQueue(t, 1, people(30)...)
	row := func() string {
		return pgtest.Value[string](t, rig.DB, "select format('%s %s %s', ctid, xmin, xmax) from attendee_relay.endpoint")
	}
	before := row()
	for range 3 {
		var batch []outbox.Settlement
		for _, m := range claim(t, q, 8, 8, time.Minute, nil) {
			batch = append(batch, outbox.Settlement{Message: m, Outcome: outbox.Delivered(attempt)})
		}
		settle(t, q, outbox.Settled{Applied: 8}, batch...)
	}
	if after := row(); after != before {
		t.Errorf("the row was %s and is %s", before, after)
	}
}

// A relay's own shutdown says nothing of the endpoint and uses up no step.
func TestInterruptedAttemptsCountForNothing(t *testing.T) {
	t.Parallel()
	rig, q := newQueue(t, 1, 1)
	settle(t, q, outbox.Settled{Applied: 1}, outbox.Settlement{Message: claim(t, q, 1, 8, time.Minute, nil)[0],
		Outcome: outbox.Interrupted(0, attempt)})
	if row := endpointRow(t, rig); row != "active 0 " {
		t.Errorf("the endpoint: %s", row)
	}
	if again := claim(t, q, 1, 8, time.Minute, nil)[0]; again.Step != 0 || again.Attempts != 1 {
		t.Errorf("%d steps are used up by %d attempts", again.Step, again.Attempts)
	}
}

func TestFirstAttemptsGoBeforeRetries(t *testing.T) {
	t.Parallel()
	rig, q := newQueue(t, 2, people(6)...)
	failed := claim(t, q, 100, 3, time.Minute, nil)
	for _, m := range failed {
		settle(t, q, outbox.Settled{Applied: 1}, outbox.Settlement{Message: m, Outcome: outbox.RetryIn(0, attempt)})
	}
	proven(t, rig)
	for _, m := range claim(t, q, 6, 8, time.Minute, nil) {
		if m.Attempts != 0 {
			t.Errorf("message %d is tried again before others were tried once", m.Row)
		}
	}
	if rest := claim(t, q, 100, 8, time.Minute, nil); len(rest) != 6 || rest[0].Attempts != 1 {
		t.Errorf("%d are left", len(rest))
	}
}

func TestWhatComesAfterAWaitingMessageIsNotLookedAt(t *testing.T) {
	t.Parallel()
	// Three acceptances of one attendee.
	rig, q := newQueue(t, 1, 7, 1007, 2007)
	due := func() string {
		return pgtest.Value[string](t, rig.DB,
			"select string_agg((due_at <= now())::text, ' ' order by id) from attendee_relay.pending")
	}
	first := claim(t, q, 10, 8, time.Minute, nil)[0]
	settle(t, q, outbox.Settled{Applied: 1},
		outbox.Settlement{Message: first, Outcome: outbox.RetryIn(time.Hour, attempt)})
	if got := due(); got != "false false false" {
		t.Errorf("due while the first waits: %s", got)
	}
	rig.DB.Exec(t, "update attendee_relay.pending set due_at = now() where retry")
	proven(t, rig)
	for _, want := range []string{"true false", "true", ""} {
		m := claim(t, q, 10, 8, time.Minute, nil)
		if len(m) != 1 {
			t.Fatalf("%d are claimed at once", len(m))
		}
		settle(t, q, outbox.Settled{Applied: 1}, outbox.Settlement{Message: m[0], Outcome: outbox.Delivered(attempt)})
		if want == "" {
			break
		}
		if got := due(); got != want {
			t.Errorf("due after a delivery: %s, want %s", got, want)
		}
	}
}

// Endpoints that have never answered share half of the places of a relay, and have one place each in most of that half.
func TestEndpointsOnTrialLeaveRoomForOthers(t *testing.T) {
	t.Parallel()
	rig, q := newQueue(t, 40, people(5)...)
	rig.DB.Exec(t, "update attendee_relay.endpoint set proven = false where webhook_url <> 'https://example.org/40'")
	held := func(request outbox.ClaimRequest) (all, trials, most int) {
		request.Limit, request.Lease, request.PerEndpoint = 1000, time.Minute, 8
		got, err := q.Claim(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		each := map[uuid.UUID]int{}
		for _, m := range got {
			if m.Standing.Trial {
				trials++
				each[m.Endpoint]++
				most = max(most, each[m.Endpoint])
			}
		}
		return len(got), trials, most
	}
	if all, trials, most := held(outbox.ClaimRequest{Trial: 10, TrialMore: 5}); all != 15 || trials != 10 || most != 1 {
		t.Errorf("%d are claimed, %d of them on trial, %d at most of one of those", all, trials, most)
	}
	rig.DB.Exec(t, "update attendee_relay.pending set lease_ends = null, lease = null")
	if all, trials, most := held(outbox.ClaimRequest{Trial: 100, TrialMore: 50}); all != 55 || trials != 50 || most != 2 {
		t.Errorf("%d are claimed, %d of them on trial, %d at most of one of those", all, trials, most)
	}
	rig.DB.Exec(t, "update attendee_relay.pending set lease_ends = null, lease = null")
	if all, _, _ := held(outbox.ClaimRequest{Trial: 1000, TrialMore: 1000}); all != 200 {
		t.Errorf("%d are claimed", all)
	}
}
