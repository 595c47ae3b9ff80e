package outbox_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"attendee-relay/internal/capturetest"
	"attendee-relay/internal/pgtest"
	"attendee-relay/outbox"
)

// newQueue returns a queue with a message of each of these attendees to each of so many endpoints.
func newQueue(t *testing.T, endpoints int, attendees ...int) (*capturetest.Rig, *outbox.Queue) {
	t.Helper()
	rig := peopleRig(t, peopleTable)
	rig.Outbox.Query = fmt.Sprintf(`select id as key, id %% 1000 as attendee_id, 'n' as name, 's' as surname, 'e' as email,
		1 as price, 'EUR' as currency,
		1 as event_id, 'e' as event_name, 'https://example.org/' || hook as webhook_url from people cross
			join generate_series(1, %d) as hook where id = any ($1::int[])`, endpoints)
	rig.Start(t)
	rig.AwaitLeading(t)
	for _, id := range attendees {
		rig.DB.Exec(t, "insert into people values ($1, 'Accepted')", id)
	}
	rig.CaughtUp(t)
	rig.Stop(t)
	proven(t, rig)
	return rig, outbox.NewQueue(rig.DB.Pool(t), "test", outbox.Breaker{Failures: 10, Probe: time.Minute}, nil)
}

// proven makes all endpoints ones that have answered before.
func proven(t *testing.T, rig *capturetest.Rig) {
	t.Helper()
	rig.DB.Exec(t, `insert into attendee_relay.endpoint (id, webhook_url, proven)
		select distinct endpoint, webhook_url, true
		from attendee_relay.message where endpoint is not null on conflict (id) do update set proven = true, failures = 0,
			state = 'active'`)
}

func claim(t *testing.T, q *outbox.Queue, limit, perEndpoint int, lease time.Duration,
	busy map[uuid.UUID]int) []outbox.Message {
	t.Helper()
	got, err := q.Claim(t.Context(), outbox.ClaimRequest{Limit: limit, Lease: lease, PerEndpoint: perEndpoint, Busy: busy,
		Trial: limit, TrialMore: limit})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(got, func(a, b outbox.Message) int { return int(a.Row - b.Row) })
	return got
}

func settle(t *testing.T, q *outbox.Queue, want outbox.Settled, settlements ...outbox.Settlement) {
	t.Helper()
	got, err := q.Settle(t.Context(), settlements)
	if err != nil || got.Applied != want.Applied || got.Refused != want.Refused || len(got.Unstorable) > 0 {
		t.Errorf("settled %+v, %v; want %+v", got, err, want)
	}
}

var attempt = outbox.Attempt{StartedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Duration: 25 * time.Millisecond,
	Status: 503, Error: "not now", Response: "busy"}

func TestLeases(t *testing.T) {
	t.Parallel()
	rig, q := newQueue(t, 1, 1)
	message := claim(t, q, 10, 8, time.Minute, nil)[0]
	if again := claim(t, q, 10, 8, time.Minute, nil); len(again) != 0 {
		t.Fatalf("%d messages are claimed again under the lease", len(again))
	}
	rig.DB.Exec(t, "update attendee_relay.pending set lease_ends = now() - interval '1 s'") // the lease ends
	second := claim(t, q, 10, 8, time.Minute, nil)[0]
	settle(t, q, outbox.Settled{Refused: 1}, outbox.Settlement{Message: message, Outcome: outbox.Dead(attempt)})
	settle(t, q, outbox.Settled{Refused: 1},
		outbox.Settlement{Message: message, Outcome: outbox.RetryIn(time.Hour, attempt)})
	// The shortest wait that the clock knows must not spoil the batch.
	settle(t, q, outbox.Settled{Applied: 1},
		outbox.Settlement{Message: second, Outcome: outbox.RetryIn(250*time.Microsecond, attempt)})
	var third outbox.Message
	pgtest.WaitUntil(t, capturetest.Patience, "the message is due again", func() (bool, string) {
		got := claim(t, q, 10, 8, time.Minute, nil)
		if len(got) == 1 {
			third = got[0]
		}
		return len(got) == 1, ""
	})
	if third.Attempts != 1 {
		t.Errorf("%d attempts", third.Attempts)
	}
	settle(t, q, outbox.Settled{Applied: 1},
		outbox.Settlement{Message: third, Outcome: outbox.RetryIn(time.Hour, attempt)})
	if got := claim(t, q, 10, 8, time.Minute, nil); len(got) != 0 {
		t.Error("claimed before its wait was over")
	}
	// An answer of the first lease's, hours late, is a delivery all the same.
	late := attempt
	late.Status, late.Error = 200, ""
	settle(t, q, outbox.Settled{Applied: 1}, outbox.Settlement{Message: message, Outcome: outbox.Delivered(late)})
	settle(t, q, outbox.Settled{Refused: 1}, outbox.Settlement{Message: message, Outcome: outbox.Delivered(late)})
	if row := pgtest.Value[string](t, rig.DB,
		"select format('%s %s %s', state, attempts, last_status) from attendee_relay.outbox"); row != "delivered 3 200" {
		t.Errorf("the row is %s", row)
	}
	if rows := pgtest.Values[string](t, rig.DB,
		"select format('%s %s %s %s %s', number, duration_ms, status, error, response) from attendee_relay.attempt order "+
			"by number"); !slices.Equal(rows,
		[]string{"1 25 503 not now busy", "2 25 503 not now busy", "3 25 200  busy"}) {
		t.Errorf("attempts: %q", rows)
	}
}

// Who cannot send what was leased to them gives it back; whose lease is over has nothing to give back.
func TestReleasedMessagesAreDueAtOnce(t *testing.T) {
	t.Parallel()
	rig, q := newQueue(t, 1, 1, 2)
	first := claim(t, q, 2, 8, time.Hour, nil)
	release := func(wantMissed int, messages ...outbox.Message) {
		t.Helper()
		missed, err := q.Release(t.Context(), messages)
		if err != nil || len(missed) != wantMissed {
			t.Fatalf("released; missed %d, not %d: %v", len(missed), wantMissed, err)
		}
	}
	release(0, first[0])
	again := claim(t, q, 2, 8, time.Hour, nil)
	if len(again) != 1 || again[0].ID != first[0].ID || again[0].Attempts != 0 {
		t.Fatalf("claimed again: %+v", again)
	}
	release(1, first[0]) // by now it is another's
	if got := claim(t, q, 2, 8, time.Hour, nil); len(got) != 0 {
		t.Errorf("%d messages are claimed under another's lease", len(got))
	}
	// What somebody holds is left alone and waited for by nobody.
	holder, err := rig.DB.Pool(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = holder.Rollback(t.Context()) }()
	_, err = holder.Exec(t.Context(), "select from attendee_relay.pending where id = $1 for update", first[1].Row)
	if err != nil {
		t.Fatal(err)
	}
	release(1, again[0], first[1])
	if got := claim(t, q, 2, 8, time.Hour, nil); len(got) != 1 || got[0].ID != first[0].ID {
		t.Errorf("claimed beside one that is held: %+v", got)
	}
}

// A probe that finds no place is not put off as far as one that was sent.
func TestAReleasedProbeIsDueSoon(t *testing.T) {
	t.Parallel()
	rig, q := newQueue(t, 1, 1)
	rig.DB.Exec(t, "update attendee_relay.endpoint set state = 'paused', failures = 10, probe_at = now(), probe_wait = "+
		"'1 min'")
	m := probe(t, rig, q)
	if m == nil {
		t.Fatal("there is no probe")
	}
	if _, err := q.Release(t.Context(), []outbox.Message{*m}); err != nil {
		t.Fatal(err)
	}
	if !pgtest.Value[bool](t, rig.DB, "select probe_at <= now() + interval '1 second' from attendee_relay.endpoint") {
		t.Error("the next probe is as far off as if this one had been sent")
	}
}

func TestLanesAndEndpoints(t *testing.T) {
	t.Parallel()
	// 7, 1007 and 2007 are one attendee: its messages keep their order.
	rig, q := newQueue(t, 2, 7, 1007, 2007, 8, 9, 10)
	first := claim(t, q, 100, 100, time.Minute, nil)
	if len(first) != 8 {
		t.Fatalf("%d messages are claimed, want four attendees' first ones to two endpoints", len(first))
	}
	rig.DB.Exec(t, "update attendee_relay.pending set lease_ends = null, lease = null")
	few := claim(t, q, 100, 3, time.Minute, map[uuid.UUID]int{first[0].Endpoint: 2})
	held := map[uuid.UUID]int{}
	for _, m := range few {
		held[m.Endpoint]++
	}
	if held[first[0].Endpoint] != 1 || len(few) != 4 {
		t.Errorf("claimed by endpoint: %v, want one and three", held)
	}
	rig.DB.Exec(t, "update attendee_relay.pending set lease_ends = null, lease = null")
	if one := claim(t, q, 1, 3, time.Minute, nil); len(one) != 1 || one[0].Row != first[0].Row {
		t.Errorf("the oldest is not claimed first: %+v", one)
	} else {
		settle(t, q, outbox.Settled{Applied: 1}, outbox.Settlement{Message: one[0], Outcome: outbox.Dead(attempt)})
	}
}

func TestClaimersNeverShare(t *testing.T) {
	t.Parallel()
	rig := peopleRig(t, peopleTable)
	rig.Start(t)
	rig.AwaitLeading(t)
	rig.DB.Exec(t, "insert into people select i, 'Accepted' from generate_series(1, 1500) as i")
	awaitCount(t, rig, 1500)
	rig.Stop(t)
	proven(t, rig)
	q := outbox.NewQueue(rig.DB.Pool(t), "test", outbox.Breaker{Failures: 10, Probe: time.Minute}, nil)
	var mu sync.Mutex
	seen := map[int64]int{}
	var claimers sync.WaitGroup
	for range 8 {
		claimers.Go(func() {
			for {
				got, err := q.Claim(t.Context(), outbox.ClaimRequest{Limit: 20, Lease: time.Hour, PerEndpoint: 2000, Trial: 20,
					TrialMore: 20})
				if err != nil {
					t.Error(err)
				}
				if len(got) == 0 {
					return
				}
				mu.Lock()
				for _, m := range got {
					seen[m.Row]++
				}
				mu.Unlock()
			}
		})
	}
	claimers.Wait()
	for row, n := range seen {
		if n > 1 {
			t.Errorf("message %d was claimed %d times", row, n)
		}
	}
	t.Logf("%d of 1500 claimed", len(seen))
	for rest := len(seen); rest < 1500; {
		got := claim(t, q, 100, 2000, time.Hour, nil)
		if len(got) == 0 {
			t.Fatalf("%d messages are never claimed", 1500-rest)
		}
		rest += len(got)
	}
}

func awaitCount(t *testing.T, rig *capturetest.Rig, n int) {
	t.Helper()
	pgtest.WaitUntil(t, capturetest.Patience, fmt.Sprint(n, " messages are there"), func() (bool, string) {
		got := pgtest.Value[int](t, rig.DB, "select count(*)::int from attendee_relay.outbox")
		return got == n, fmt.Sprint(got)
	})
}

// Two messages of an attendee can be in flight to one endpoint if one followed a changed URL. The effect of one failure
// on the messages behind it must not undo the outcome of the other.
func TestTwoOfALaneAreSettledTogether(t *testing.T) {
	t.Parallel()
	rig, q := newQueue(t, 2, 1)
	both := claim(t, q, 10, 8, time.Minute, nil)
	rig.DB.Exec(t, "update attendee_relay.pending set endpoint = $1; ", both[0].Endpoint)
	rig.DB.Exec(t, "update attendee_relay.message set endpoint = $1", both[0].Endpoint)
	settle(t, q, outbox.Settled{Applied: 2},
		outbox.Settlement{Message: both[0], Outcome: outbox.RetryIn(time.Hour, attempt)},
		outbox.Settlement{Message: both[1], Outcome: outbox.RetryIn(time.Minute, attempt)})
	if rows := pgtest.Values[string](t, rig.DB,
		"select format('%s %s %s', attempts, lease is null, round(extract(epoch from due_at - now()) / 60)) from "+
			"attendee_relay.pending order by id"); !slices.Equal(rows,
		[]string{"1 t 60", "1 t 1"}) {
		t.Errorf("%q", rows)
	}
}

// An answer that the database cannot store keeps no outcome from being recorded, not even its own.
func TestOneBadOutcomeDoesNotStopTheOthers(t *testing.T) {
	t.Parallel()
	rig, q := newQueue(t, 1, people(5)...)
	var batch []outbox.Settlement
	for i, m := range claim(t, q, 10, 8, time.Minute, nil) {
		a := attempt
		if i == 2 {
			a.Response = "no text of Postgres holds a \x00"
		}
		batch = append(batch, outbox.Settlement{Message: m, Outcome: outbox.Delivered(a)})
	}
	settle(t, q, outbox.Settled{Applied: 5}, batch...)
	n := pgtest.Value[int](t, rig.DB, "select count(*)::int from attendee_relay.outbox where state = 'delivered'")
	if n != 5 {
		t.Errorf("%d are delivered", n)
	}
}
