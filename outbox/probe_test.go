package outbox_test

import (
	"fmt"
	"testing"
	"time"

	"attendee-relay/internal/capturetest"
	"attendee-relay/internal/pgtest"
	"attendee-relay/outbox"
)

// probe makes the probe due and takes it; nil: there was none to take.
func probe(t *testing.T, rig *capturetest.Rig, q *outbox.Queue) *outbox.Message {
	t.Helper()
	rig.DB.Exec(t, "update attendee_relay.endpoint set probe_at = now() where state = 'paused'")
	got, err := q.Probe(t.Context(), 10, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) == 0 {
		return nil
	}
	return &got[0]
}

func TestProbes(t *testing.T) {
	t.Parallel()
	rig, q := newQueue(t, 1, people(20)...)
	other := outbox.NewQueue(rig.DB.Pool(t), "test", outbox.Breaker{Failures: 10, Probe: time.Minute}, nil)
	fail(t, q, 10)
	for i, wait := range []int{120, 240, 480, 900, 900} {
		m := probe(t, rig, q)
		if m == nil || m.Row != 1 || !m.Standing.Probe {
			t.Fatalf("probe %d is not the oldest message: %+v", i+1, m)
		}
		if again := probe(t, rig, other); again != nil {
			t.Fatal("two relays probe at once")
		}
		if m.Step != 1 || m.Attempts != i+1 {
			t.Errorf("probe %d finds %d steps used up and %d attempts", i+1, m.Step, m.Attempts)
		}
		settle(t, q, outbox.Settled{Applied: 1}, outbox.Settlement{Message: *m, Outcome: outbox.Waits(0, attempt)})
		if row := endpointRow(t, rig); row != fmt.Sprintf("paused %d %d", 11+i, wait) {
			t.Errorf("after probe %d: %s", i+1, row)
		}
	}
	settle(t, q, outbox.Settled{Applied: 1}, outbox.Settlement{Message: *probe(t, rig, q),
		Outcome: outbox.Waits(5*time.Hour, attempt)})
	asked := pgtest.Value[bool](t, rig.DB, "select probe_at > now() + interval '4 hours' from attendee_relay.endpoint")
	if !asked {
		t.Error("a receiver that asks for more time is probed before")
	}
	rig.DB.Exec(t, "update attendee_relay.pending set due_at = now() where id = 1")
	used := pgtest.Value[string](t, rig.DB, "select format('%s %s', sum(step), max(step)) from attendee_relay.pending")
	if used != "10 1" {
		t.Errorf("steps used up while paused: %s", used)
	}
	// A probe whose relay died comes again with the end of its lease.
	if probe(t, rig, q) == nil {
		t.Fatal("no probe")
	}
	rig.DB.Exec(t, "update attendee_relay.pending set lease_ends = now() where lease is not null")
	m := probe(t, rig, other)
	if m == nil {
		t.Fatal("the probe of a relay that died is not taken over")
	}
	settle(t, other, outbox.Settled{Applied: 1}, outbox.Settlement{Message: *m, Outcome: outbox.Delivered(attempt)})
	if row := endpointRow(t, rig); row != "recovering 0 900" {
		t.Errorf("after an answered probe: %s", row)
	}
}

// If the payload query has no row for the oldest message, its attendee's next message still comes after it, and the
// probe sends another attendee's.
func TestAProbeGoesBeforeNoOlderMessageOfItsAttendee(t *testing.T) {
	t.Parallel()
	rig, q := newQueue(t, 1, 1, 1001, 2)
	rig.DB.Exec(t, `update attendee_relay.endpoint set state = 'paused', probe_at = now();
		update attendee_relay.pending set unanswered = 1, retry = true, due_at = now() + interval '1 hour'
		 where id = (select id from attendee_relay.message where source_key = '1')`)
	got, err := q.Probe(t.Context(), 10, time.Minute)
	if err != nil || len(got) != 1 {
		t.Fatalf("%d probes, %v", len(got), err)
	}
	key := pgtest.Value[string](t, rig.DB, "select source_key from attendee_relay.message where id = $1", got[0].Row)
	if key != "2" {
		t.Errorf("the probe is the message of row %s", key)
	}
}

// probed returns the source keys of the messages that a probe of at most one endpoint takes.
func probed(t *testing.T, rig *capturetest.Rig, q *outbox.Queue) (keys []string) {
	t.Helper()
	got, err := q.Probe(t.Context(), 1, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		const source = "select source_key from attendee_relay.message where id = $1"
		keys = append(keys, pgtest.Value[string](t, rig.DB, source, got[i].Row))
	}
	return keys
}

// An endpoint whose messages are all left out takes no other's turn, and is probed when one of them is due.
func TestAnEndpointWithoutAMessageToProbeWithTakesNobodysTurn(t *testing.T) {
	t.Parallel()
	rig, q := newQueue(t, 2, 1)
	rig.DB.Exec(t, `update attendee_relay.endpoint set state = 'paused', probe_at = now() - interval '1 minute';
		update attendee_relay.endpoint set probe_at = now() - interval '2 minutes' where webhook_url like '%/1';
		update attendee_relay.pending set unanswered = 1, retry = true, due_at = now() + interval '1 hour'
		 where id in (select id from attendee_relay.message where webhook_url like '%/1')`)
	if keys := probed(t, rig, q); len(keys) != 0 {
		t.Errorf("%q are probes", keys)
	}
	if keys := probed(t, rig, q); len(keys) != 1 {
		t.Error("the other endpoint is not probed")
	}
	rig.DB.Exec(t, `update attendee_relay.pending set due_at = now(); update attendee_relay.endpoint set probe_at = now()
		where probe_at < now() + interval '6 seconds'`)
	if keys := probed(t, rig, q); len(keys) != 1 {
		t.Error("it is not probed although its message is due")
	}
}

// Messages that cannot be sent unchanged say nothing about an endpoint: they keep it paused only until there are
// others.
func TestAProbeIsOfAMessageThatCanBeSent(t *testing.T) {
	t.Parallel()
	rig, q := newQueue(t, 1, 1, 2, 3)
	refused := attempt
	refused.Status, refused.Error, refused.Response = 0, "refused: the signing secret is blank; NULL means none", ""
	rig.DB.Exec(t, "update attendee_relay.endpoint set state = 'paused', probe_at = now()")
	for _, want := range []string{"1", "2", "3"} {
		rig.DB.Exec(t, "update attendee_relay.endpoint set probe_at = now()")
		got, err := q.Probe(t.Context(), 1, time.Minute)
		if err != nil || len(got) != 1 {
			t.Fatalf("%d probes, %v", len(got), err)
		}
		const source = "select source_key from attendee_relay.message where id = $1"
		if key := pgtest.Value[string](t, rig.DB, source, got[0].Row); key != want {
			t.Errorf("the probe is of row %s, not %s", key, want)
		}
		settle(t, q, outbox.Settled{Applied: 1}, outbox.Settlement{Message: got[0],
			Outcome: outbox.RetryIn(time.Hour, refused).Blameless()})
	}
	rig.DB.Exec(t, "update attendee_relay.endpoint set probe_at = now()")
	if keys := probed(t, rig, q); len(keys) != 1 || keys[0] != "1" {
		t.Errorf("where there is no other, the probes are of rows %q", keys)
	}
}
