package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

const (
	// boundedMemory is what the relay may have resident, whatever its rows, answers and bodies are.
	boundedMemory = 128 << 20
	// sizedQuery gives each attendee a name as long as the surname says, and as many rows as an e-mail like "rows 60".
	sizedQuery = `SOURCE_QUERY=select a.id as key, a.id as attendee_id, n || repeat('x', a.surname::int) as name,
		'' as surname, a.email, n::text as delivery_key,
		1 as price, 'EUR' as currency, e.id as event_id, e.name as event_name, e.webhook_url, e.webhook_secret as secret
		from public.attendees a join public.events e on e.id = a.event_id
		cross join generate_series(1, case when a.email like 'rows %' then substr(a.email, 6)::int else 1 end) as n
		where a.id = any ($1::bigint[])`
)

// sized is how many of something a test of memory has. The race detector makes large rows slow, and the process too
// large for its memory to prove anything.
func sized(t *testing.T, variable string, quick int) int {
	t.Helper()
	if relaytest.Racing() {
		quick = (quick + 4) / 5
	}
	return relaytest.Sized(t, variable, quick)
}

// onItsOwn returns a database on a server of its own: making a slot waits for every transaction of the same server, and
// those of the tests here are long.
func onItsOwn(t *testing.T) *pgtest.DB {
	t.Helper()
	return pgtest.On(t, pgtest.Start(t, nil))
}

// bareReceiver is a receiver that keeps no bodies, only how often each message came.
type bareReceiver struct {
	URL string
	mu  sync.Mutex
	ids map[string]int
}

func newBareReceiver(t *testing.T, answer http.HandlerFunc) *bareReceiver {
	t.Helper()
	s := &bareReceiver{ids: map[string]int{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		s.mu.Lock()
		s.ids[r.Header.Get("webhook-id")]++
		s.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

func noContent(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }

// await waits until so many messages have come.
func (s *bareReceiver) await(t *testing.T, n int) {
	t.Helper()
	pgtest.WaitUntil(t, 5*time.Minute, "the receiver has its webhooks", func() (bool, string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.ids) >= n, strconv.Itoa(len(s.ids)) + " of " + strconv.Itoa(n)
	})
}

// runSized runs a relay that sends to a receiver, and returns it and an event when it leads, and when that was.
func runSized(
	t *testing.T, db *pgtest.DB, receiver *bareReceiver, settings ...string,
) (event int64, relay *relaytest.Relay, began time.Time) {
	t.Helper()
	event = relaytest.AddEvent(t, db, receiver.URL)
	relay = relaytest.Run(t, db, append([]string{sizedQuery, "LOG_LEVEL=info"}, settings...)...)
	relay.AwaitRole(t, ready, "leader")
	return event, relay, time.Now()
}

// checkMemory fails the test where the relay took too much, or a message came twice.
func checkMemory(t *testing.T, relay *relaytest.Relay, s *bareReceiver, began time.Time) {
	t.Helper()
	peak := relay.PeakMemory(t)
	t.Logf("%d MiB resident at most; it took %v", peak>>20, time.Since(began).Round(100*time.Millisecond))
	if peak > boundedMemory && !relaytest.Racing() {
		t.Errorf("the relay had %d MiB resident", peak>>20)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, n := range s.ids {
		if n != 1 {
			t.Errorf("%s came %d times", id, n)
		}
	}
}

func acceptSized(t *testing.T, db *pgtest.DB, event int64, n, size int) {
	t.Helper()
	db.Exec(t, `insert into attendees (event_id, name, surname, email, status)
		select $1, 'Ada', $3::int::text, 'ada' || i || '@example.org', 'Accepted' from generate_series(1, $2::int) as i`,
		event, n, size)
}

// Each acceptance of a transaction has an answer of 2 MB: all become messages and are sent.
func TestMemoryWithManyLargeAnswers(t *testing.T) {
	t.Parallel()
	n := sized(t, "LARGE_ANSWERS", 60)
	db := onItsOwn(t)
	receiver := newBareReceiver(t, noContent)
	event, relay, began := runSized(t, db, receiver, "DELIVERY_TIMEOUT=15s")
	acceptSized(t, db, event, n, 2_000_000)
	receiver.await(t, n)
	checkMemory(t, relay, receiver, began)
	if state := relay.State(t); state.Status != http.StatusOK || state.Codes() != "" {
		t.Errorf("it is %d with %q", state.Status, state.Codes())
	}
}

// One answer has 100 MB: the small ones beside it and behind it are sent, and its acceptance says why it waits.
func TestMemoryWithOneHugeAnswer(t *testing.T) {
	t.Parallel()
	db := onItsOwn(t)
	receiver := newBareReceiver(t, noContent)
	event, relay, began := runSized(t, db, receiver)
	db.Exec(t, `insert into attendees (event_id, name, surname, email, status) select $1, 'Ada',
		case i when 2 then '100000000' when 4 then '20000000' else '10' end, 'ada@example.org', 'Accepted'
		from generate_series(1, 5) as i`, event)
	receiver.await(t, 3)
	acceptSized(t, db, event, 1, 10)
	receiver.await(t, 4)
	pgtest.WaitUntil(t, time.Minute, "it waits with its error", func() (bool, string) {
		const each = "select state || ' ' || coalesce(last_error, '') from attendee_relay.acceptance"
		waiting := pgtest.Values[string](t, db, each)
		alone := len(waiting) == 1 && strings.HasPrefix(waiting[0], "waiting the payload query gives a row of 100000")
		return alone, strings.Join(waiting, ", ")
	})
	dead := pgtest.Values[string](t, db, "select last_error from attendee_relay.outbox where state = 'dead'")
	if len(dead) != 1 || !strings.HasPrefix(dead[0], "body_too_large: the body has 200002") {
		t.Errorf("dead are %q", dead)
	}
	checkMemory(t, relay, receiver, began)
}

// The rows of one key have 2 MB each: they become messages together.
func TestMemoryWithManyLargeRowsOfOneKey(t *testing.T) {
	t.Parallel()
	n := sized(t, "LARGE_ANSWERS", 60)
	db := onItsOwn(t)
	receiver := newBareReceiver(t, noContent)
	event, relay, began := runSized(t, db, receiver, "DELIVERY_TIMEOUT=15s", "SOURCE_QUERY_TIMEOUT=1m")
	db.Exec(t, `insert into attendees (event_id, name, surname, email, status)
		values ($1, 'Ada', '2000000', 'rows ' || $2::int, 'Accepted')`, event, n)
	receiver.await(t, n)
	checkMemory(t, relay, receiver, began)
}

// Rows of the watched table have 16 MiB, and are edited, also under REPLICA IDENTITY FULL.
func TestMemoryWithLargeWatchedRows(t *testing.T) {
	t.Parallel()
	edits := sized(t, "LARGE_EDITS", 12)
	db := onItsOwn(t)
	receiver := newBareReceiver(t, noContent)
	event, relay, began := runSized(t, db, receiver)
	db.Exec(t, `insert into attendees (event_id, name, surname, status)
		values ($1, repeat('n', 16 << 20), '10', 'Accepted')`, event)
	edit := func() {
		for i := range edits {
			db.Exec(t, "update attendees set name = repeat($1::text, 16 << 20)", string(rune('a'+i%26)))
		}
	}
	edit()
	db.Exec(t, "alter table attendees replica identity full")
	edit()
	acceptSized(t, db, event, 1, 10)
	receiver.await(t, 2)
	checkMemory(t, relay, receiver, began)
}

// Messages with bodies of nearly 4 MiB wait for 64 endpoints that take their time, and are loaded when the relay
// starts; small ones of other endpoints do not wait for them.
func TestMemoryWithLargeBodiesWaiting(t *testing.T) {
	t.Parallel()
	const endpoints = 64
	n := sized(t, "LARGE_BODIES", 2)
	db := onItsOwn(t)
	receiver := newBareReceiver(t, func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > 1<<20 {
			select {
			case <-time.After(300 * time.Millisecond):
			case <-r.Context().Done():
			}
		}
		w.WriteHeader(http.StatusNoContent)
	})
	var events []int64
	for i := range endpoints {
		events = append(events, relaytest.AddEvent(t, db, receiver.URL+"/"+strconv.Itoa(i)))
	}
	settings := []string{sizedQuery, "LOG_LEVEL=info", "DELIVERY_TIMEOUT=15s", "DELIVERY_CONCURRENCY=64"}
	captures := relaytest.Run(t, db, append(settings, "DELIVERY_ENABLED=false")...)
	captures.AwaitRole(t, ready, "leader")
	began := time.Now()
	for _, event := range events {
		acceptSized(t, db, event, n, 4_190_000)
	}
	pgtest.WaitUntil(t, 5*time.Minute, "all is in the outbox", func() (bool, string) {
		got := pgtest.Value[int](t, db, "select count(*)::int from attendee_relay.outbox")
		return got == n*endpoints, strconv.Itoa(got)
	})
	checkMemory(t, captures, receiver, began)
	captures.Kill()

	began = time.Now()
	relay := relaytest.Run(t, db, settings...)
	relay.AwaitRole(t, ready, "leader")
	acceptSized(t, db, events[0], 10, 10)
	receiver.await(t, n*endpoints+10)
	checkMemory(t, relay, receiver, began)
}

// Receivers answer with more than is read.
func TestMemoryWithLargeResponses(t *testing.T) {
	t.Parallel()
	n := sized(t, "LARGE_RESPONSES", 1_000)
	db := onItsOwn(t)
	text := strings.Repeat("all is well ", 16<<10)
	receiver := newBareReceiver(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) })
	event, relay, began := runSized(t, db, receiver)
	acceptSized(t, db, event, n, 10)
	receiver.await(t, n)
	pgtest.WaitUntil(t, time.Minute, "the answers are recorded", func() (bool, string) {
		got := pgtest.Value[[]int](t, db, "select array[count(*), max(length(response))]::int[] from attendee_relay.attempt")
		return got[0] == n && got[1] <= 2<<10, strconv.Itoa(got[0])
	})
	checkMemory(t, relay, receiver, began)
}

// An operator's GOMEMLIMIT stays; without one there is one.
func TestMemoryLimitOfTheProcess(t *testing.T) {
	t.Parallel()
	db := onItsOwn(t)
	for setting, want := range map[string]string{
		"GOMEMLIMIT=200MiB": "go_gc_gomemlimit_bytes 2.097152e+08",
		"GOMEMLIMIT=":       "go_gc_gomemlimit_bytes 6.7108864e+07",
	} {
		relay := relaytest.Run(t, db, setting)
		pgtest.WaitUntil(t, ready, setting+" gives "+want, func() (bool, string) {
			_, metrics := relay.Get(t, "/metrics")
			_, rest, _ := strings.Cut(metrics, "\ngo_gc_gomemlimit_bytes")
			line, _, _ := strings.Cut(rest, "\n")
			return strings.Contains(metrics, "\n"+want+"\n"), line
		})
		relay.Kill()
	}
}
