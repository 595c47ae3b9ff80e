package outbox_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"attendee-relay/internal/capturetest"
	"attendee-relay/internal/pgtest"
	"attendee-relay/outbox"
)

// senders have a place for every message and note what becomes of it.
type senders struct {
	mu sync.Mutex
	// open counts the reservations under way, unused those that ended with nothing to send.
	open, unused  int
	sent, dropped []outbox.Message
}

func (s *senders) Reserve(endpoints []uuid.UUID) outbox.Reservation {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open++
	return &reservation{s, len(endpoints)}
}

type reservation struct {
	*senders
	places int
}

func (r *reservation) Reserved() (reserved []bool, lease time.Duration) {
	return slices.Repeat([]bool{true}, r.places), time.Minute
}

func (r *reservation) Send(messages []outbox.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open--
	if len(messages) == 0 {
		r.unused++
	}
	r.sent = append(r.sent, messages...)
}

func (r *reservation) Drop(messages []outbox.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open--
	r.unused++
	r.dropped = append(r.dropped, messages...)
}

// take returns the messages that were sent since it was called last, and fails if a reservation does not end. A visible
// commit only means that sending has begun.
func (s *senders) take(t *testing.T) (sent []outbox.Message) {
	t.Helper()
	pgtest.WaitUntil(t, capturetest.Patience, "every reservation has ended", func() (bool, string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.open != 0 {
			return false, fmt.Sprintf("%d have not", s.open)
		}
		sent = s.sent
		s.unused, s.sent = 0, nil
		return true, ""
	})
	return sent
}

// handoverRig announces each of people to the endpoints 'a' and 'b', people of 1000 and more being the same attendee as
// those below.
func handoverRig(t *testing.T) (*capturetest.Rig, *senders) {
	t.Helper()
	rig := peopleRig(t, peopleTable)
	rig.Outbox.Query = `select id as key, id % 1000 as attendee_id, 'n' as name, 's' as surname, 'e' as email, 1 as price,
		'EUR' as currency,
		1 as event_id, 'e' as event_name, 'https://example.org/' || hook as webhook_url, 'whsec_' || hook as secret
		from people cross join unnest(array['a', 'b']) as hook where id = any ($1::int[])`
	to := &senders{}
	rig.Recorder = func(r *outbox.Recorder) { r.HandOver(to) }
	rig.Start(t)
	rig.AwaitLeading(t)
	return rig, to
}

// accept accepts people in one transaction and returns what is sent without a claim.
func accept(t *testing.T, rig *capturetest.Rig, to *senders, people ...int) []string {
	t.Helper()
	rig.DB.Exec(t, "insert into people select unnest($1::int[]), 'Accepted'", people)
	rig.CaughtUp(t)
	var sent []string
	for _, m := range to.take(t) {
		attendee := pgtest.Value[string](t, rig.DB, "select source_key from attendee_relay.message where message_id = $1",
			m.ID)
		sent = append(sent, attendee+strings.TrimPrefix(m.URL, "https://example.org/"))
	}
	slices.Sort(sent)
	return sent
}

func TestOnlyWhatAClaimWouldTakeIsHandedOver(t *testing.T) {
	t.Parallel()
	rig, to := handoverRig(t)
	expect := func(what string, sent []string, want ...string) {
		t.Helper()
		if !slices.Equal(sent, want) {
			t.Errorf("%s: %v is sent without a claim, want %v", what, sent, want)
		}
	}
	endpoint := func(hook, is string) {
		t.Helper()
		rig.DB.Exec(t, "update attendee_relay.endpoint set "+is+" where webhook_url like '%' || $1", hook)
	}
	sendAll := func() { rig.DB.Exec(t, "delete from attendee_relay.pending") }

	expect("endpoints that nobody knows", accept(t, rig, to, 1))
	proven(t, rig)
	expect("an older message of the attendee waits", accept(t, rig, to, 1001))
	expect("nothing older waits", accept(t, rig, to, 2), "2a", "2b")
	sendAll()
	expect("two of an attendee at once", accept(t, rig, to, 3, 1003), "3a", "3b")
	sendAll()
	endpoint("b", "failures = 1")
	// The message to b may have to go to a's URL, and before this one, when it comes to be sent.
	expect("a later message of an attendee whose endpoint is not well", accept(t, rig, to, 4), "4a")
	sendAll()
	endpoint("a", "failures = 1")
	endpoint("b", "failures = 0")
	expect("an attendee whose first message waits", accept(t, rig, to, 5))
	sendAll()
	for _, is := range []string{"state = 'paused', probe_at = now(), probe_wait = '1 min'", "state = 'disabled'",
		"state = 'recovering'", "state = 'active', proven = false"} {
		endpoint("a", is+", failures = 0")
		endpoint("b", is+", failures = 0")
		expect("endpoints with "+is, accept(t, rig, to, 100+len(is)))
	}
}

// What is handed over is what a claim of the same message gives.
func TestWhatIsHandedOverIsTheMessage(t *testing.T) {
	t.Parallel()
	rig, to := handoverRig(t)
	accept(t, rig, to, 1)
	proven(t, rig)
	rig.DB.Exec(t, "delete from attendee_relay.pending")
	rig.DB.Exec(t, "insert into people values (2, 'Accepted')")
	rig.CaughtUp(t)
	sent := to.take(t)
	leased := pgtest.Value[int](t, rig.DB,
		"select count(*)::int from attendee_relay.pending where lease_ends > now() + interval '50 s'")
	if len(sent) != 2 || leased != 2 {
		t.Fatalf("%d messages are sent, %d leased", len(sent), leased)
	}
	q := outbox.NewQueue(rig.DB.Pool(t), "test", outbox.Breaker{Failures: 10, Probe: time.Minute}, nil)
	if again := claim(t, q, 10, 8, time.Minute, nil); len(again) != 0 {
		t.Errorf("%d messages are claimed while they are handed over", len(again))
	}
	outcomes := make([]outbox.Settlement, 2)
	for i, m := range sent {
		outcomes[i] = outbox.Settlement{Message: m, Outcome: outbox.RetryIn(0, attempt)}
	}
	settle(t, q, outbox.Settled{Applied: 2}, outcomes...)
	proven(t, rig)
	for i, m := range claim(t, q, 10, 8, time.Minute, nil) {
		got := fmt.Sprint(sent[i].Row, sent[i].ID, sent[i].Endpoint, sent[i].URL, sent[i].Secret.Reveal(),
			string(sent[i].Payload), sent[i].CommittedAt.UTC())
		want := fmt.Sprint(m.Row, m.ID, m.Endpoint, m.URL, m.Secret.Reveal(), string(m.Payload), m.CommittedAt.UTC())
		if got != want || sent[i].Attempts != 0 || sent[i].Stale() || sent[i].Standing != (outbox.Standing{}) {
			t.Errorf("handed over %s, %+v; claimed %s", got, sent[i].Standing, want)
		}
	}
}

// A transaction that is not recorded sends nothing, and its places are free again.
func TestNothingIsHandedOverBeforeItsTransactionHasCommitted(t *testing.T) {
	t.Parallel()
	rig, to := handoverRig(t)
	accept(t, rig, to, 1)
	proven(t, rig)
	rig.DB.Exec(t, "delete from attendee_relay.pending")
	// It fails at its commit, when all has been written.
	rig.DB.Exec(t, `create function refuse() returns trigger language plpgsql as $$ begin raise 'not now'; end $$;
		create constraint trigger refuse after insert on attendee_relay.pending deferrable initially deferred for each row
			execute function refuse()`)
	rig.DB.Exec(t, "insert into people values (2, 'Accepted')")
	pgtest.WaitUntil(t, capturetest.Patience, "a reservation ends with nothing to send", func() (bool, string) {
		to.mu.Lock()
		defer to.mu.Unlock()
		return to.unused > 0, fmt.Sprint(to.unused)
	})
	if len(to.dropped) < 2 { // it might have committed although the answer was an error
		t.Errorf("%d messages are given back, want those that were leased", len(to.dropped))
	}
	rig.DB.Exec(t, "drop trigger refuse on attendee_relay.pending")
	rig.CaughtUp(t)
	sent := to.take(t)
	n := pgtest.Value[int](t, rig.DB, "select count(*)::int from attendee_relay.message where source_key = '2'")
	if n != 2 || len(sent) != 2 {
		t.Errorf("%d messages are written and %d sent, want 2 of each", n, len(sent))
	}
}
