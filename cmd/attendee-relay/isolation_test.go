package main

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

const (
	isolationEndpoints = 100
	// isolationEvery is the time between two registrations, each for another event.
	isolationEvery = 10 * time.Millisecond
	// isolationWarm is how many messages go out before the measured ones.
	isolationWarm = 50
	// isolationShort and isolationLong are how long one run's load lasts, the long one with ISOLATION_ROUNDS.
	isolationShort, isolationLong = 2 * time.Second, 20 * time.Second
)

// isolated is the situation of one run: some endpoints hang from the first request on, the first of them with a
// backlog; or fifty are paused, each with messages that wait.
type isolated struct {
	name                      string
	hanging, backlog, waiting int
}

// An endpoint that hangs delays no other: the same load goes to the same healthy endpoints alone, beside one endpoint
// that hangs and has a backlog, and beside fifty. ISOLATION_ROUNDS=5 compares the medians of five interleaved rounds. A
// single short round, as in every test run, measures nothing: only delays of the length of a timeout fail it.
func TestHangingEndpointsDelayNoOther(t *testing.T) {
	if relaytest.Racing() {
		t.Skip("under the race detector nothing is fast")
	}
	rounds, load, backlog, waiting := 1, isolationShort, 5_000, 20_000
	if text := os.Getenv("ISOLATION_ROUNDS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("ISOLATION_ROUNDS: %v", err)
		}
		rounds, load, backlog, waiting = n, isolationLong, 100_000, 1_000_000
	}
	situations := []isolated{
		{"alone", 0, 0, 0}, {"one of 100 hangs", 1, backlog, 0}, {"50 of 100 hang", 50, 0, 0},
		{"50 of 100 dead", 0, 0, waiting},
	}
	medians, tails := make([][]time.Duration, len(situations)), make([][]time.Duration, len(situations))
	for range rounds {
		for i, s := range situations {
			took := s.measure(t, load)
			medians[i] = append(medians[i], relaytest.Percentile(took, .5))
			tails[i] = append(tails[i], relaytest.Percentile(took, .99))
		}
	}
	for i, s := range situations {
		t.Logf("%-16s  p50 %s  p99 %s  p99 to that alone %.2f", s.name, spread(medians[i]), spread(tails[i]),
			float64(relaytest.Percentile(tails[i], .5))/float64(relaytest.Percentile(tails[0], .5)))
		if worst := slices.Max(tails[i]); worst > 10*time.Second {
			t.Errorf("%s: p99 %v", s.name, worst)
		}
	}
}

// spread is the median of several, with the least and the most.
func spread(list []time.Duration) string {
	at := func(p float64) time.Duration { return relaytest.Percentile(list, p).Round(100 * time.Microsecond) }
	return fmt.Sprintf("%v (%v to %v)", at(.5), at(0), at(1))
}

// measure returns commit to receipt of the healthy endpoints' messages.
func (s isolated) measure(t *testing.T, load time.Duration) []time.Duration {
	t.Helper()
	db := pgtest.New(t)
	release := make(chan struct{})
	receiver := relaytest.NewReceiver(t, func(w relaytest.Webhook) int {
		if strings.HasPrefix(w.Path, "/hangs") {
			<-release
		}
		return http.StatusNoContent
	})
	defer close(release)
	db.Exec(t, `insert into events (id, name, webhook_url, webhook_secret)
		select i, 'Sommerfest', $1 || case when i <= $2 then '/hangs/' else '/answers/' end || i, $3 from generate_series(1,
			$4) as i`,
		receiver.URL, s.hanging, relaytest.Secret, isolationEndpoints)
	relay := relaytest.Run(t, db, "LOG_LEVEL=info", "DELIVERY_TIMEOUT=15s")
	relay.AwaitRole(t, ready, "leader")
	if s.backlog > 0 {
		db.Exec(t, "insert into attendees (event_id, name, surname, email, status) select 1, 'Ada', 'Lovelace', i || "+
			"'@example.org', 'Accepted' from generate_series(1, $1) as i", s.backlog)
		awaitPending(t, db, s.backlog)
	}
	if s.waiting > 0 {
		addPaused(t, db, s.waiting)
		// Postgres goes through a million rows for the stream, though none of them is in it; what comes after waits for that.
		relaytest.Accept(t, db, 51, 1)
		receiver.Await(t, 1, 5*time.Minute)
	}
	// The same load in every situation, to healthy endpoints only; each of the others has twenty messages.
	db.Exec(t, "insert into attendees (event_id, name, surname, status) select i, 'Ada', 'Lovelace', 'Accepted' from "+
		"generate_series(1, $1) as i, generate_series(1, 20)", s.hanging)
	awaitPending(t, db, s.waiting+s.backlog+20*s.hanging)
	// What Postgres has to do after so many rows are written is not what is measured.
	db.Exec(t, "vacuum analyze")
	db.Exec(t, "checkpoint")
	tick := time.NewTicker(isolationEvery)
	defer tick.Stop()
	sent := 0
	for began := time.Now(); time.Since(began) < load || sent < 2*isolationWarm; sent++ {
		relaytest.Accept(t, db, int64(51+sent%50), 1)
		<-tick.C
	}
	pgtest.WaitUntil(t, ready, "the healthy endpoints have theirs", func() (bool, string) {
		n := pgtest.Value[int](t, db, "select count(*)::int from attendee_relay.outbox where state = 'delivered'")
		return n >= sent, fmt.Sprintf("%d of %d", n, sent)
	})
	committed := map[string]time.Time{}
	for _, line := range pgtest.Values[string](t, db,
		"select message_id || ' ' || extract(epoch from committed_at) from attendee_relay.outbox where webhook_url like "+
			"'%/answers/%' order by committed_at offset $1", isolationWarm) {
		id, at, _ := strings.Cut(line, " ")
		seconds, err := strconv.ParseFloat(at, 64)
		if err != nil {
			t.Fatal(err)
		}
		committed[id] = time.UnixMicro(int64(seconds * 1e6))
	}
	var took []time.Duration
	for _, w := range receiver.Webhooks() {
		if at, ok := committed[w.ID]; ok {
			took = append(took, w.At.Sub(at))
		}
	}
	relay.Kill()
	return took
}

// addPaused writes messages that wait for fifty paused endpoints, which are not probed soon.
func addPaused(t *testing.T, db *pgtest.DB, messages int) {
	t.Helper()
	db.Exec(t, `insert into attendee_relay.endpoint (id, webhook_url, state, failures, probe_at, probe_wait)
		select md5(i::text)::uuid, 'https://dead.example/' || i, 'paused', 10, now() + interval '1 hour', interval '1 hour'
			from generate_series(0, 49) as i`)
	db.Exec(t, `with made as (
			insert into attendee_relay.message (message_id, identity, delivery_key, commit_lsn, attendee_id, event_id, endpoint,
				webhook_url, payload)
			select 'm' || i, i, i, '0/1', -i, '2', md5((i % 50)::text)::uuid, 'https://dead.example/' || i % 50, '{}'
				from generate_series(1, $1) as i
			returning id, endpoint, attendee_id)
		insert into attendee_relay.pending (id, endpoint, lane, due_at) select id, endpoint, attendee_relay.lane(attendee_id),
			now() from made`, messages)
}

func awaitPending(t *testing.T, db *pgtest.DB, n int) {
	t.Helper()
	pgtest.WaitUntil(t, 5*time.Minute, "messages are pending", func() (bool, string) {
		got := pgtest.Value[int](t, db, "select count(*)::int from attendee_relay.pending")
		return got == n, fmt.Sprintf("%d of %d", got, n)
	})
}
