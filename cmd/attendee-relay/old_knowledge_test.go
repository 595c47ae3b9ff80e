package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

// These are the clauses of the contract's section 4, "Nothing is sent on old knowledge", one case each, by their
// numbers. They see the built program, the columns of attendee_relay.outbox and attendee_relay.attempt, and a receiver;
// nothing else of the relay.

// knowing is a relay whose payload query reads a table of webhooks that a case changes.
type knowing struct {
	t        *testing.T
	db       *pgtest.DB
	receiver *relaytest.Receiver
	relay    *relaytest.Relay
	settings []string

	mu sync.Mutex
	// statuses are the answers by path; 204 where there is none.
	statuses map[string]int
}

// knowingQuery gives a row for each webhook of a person; the status of the person does not matter to it.
const knowingQuery = `select a.id as key, h.attendee as attendee_id, a.name, a.surname, a.email,
	h.price::numeric as price, 'EUR' as currency, a.event_id,
	'e' as event_name, h.url as webhook_url, h.secret, h.headers, h.delivery_key
	from public.attendees a join public.webhooks h on h.person = a.id where a.id = any ($1::bigint[])`

// soon has many attempts, half a second apart.
var soon = "DELIVERY_RETRY_SCHEDULE=" + strings.Repeat("500ms,", 60) + "500ms"

// newKnowing starts a relay. Everything under /a is answered with 500, all else with 204.
func newKnowing(t *testing.T, settings ...string) *knowing {
	t.Helper()
	t.Parallel()
	k := &knowing{t: t, db: pgtest.New(t), statuses: map[string]int{"/a": http.StatusInternalServerError}}
	k.receiver = relaytest.NewReceiver(t, func(w relaytest.Webhook) int {
		k.mu.Lock()
		defer k.mu.Unlock()
		if status := k.statuses[w.Path]; status != 0 {
			return status
		}
		return http.StatusNoContent
	})
	k.db.Exec(t, `create table webhooks (person bigint, delivery_key text, attendee text, url text, secret text,
		headers jsonb, price text default '1');
		grant select on webhooks to public;
		insert into events (id, name) values (1, 'e')`)
	k.settings = append([]string{"SOURCE_QUERY=" + knowingQuery, soon, "DELIVERY_BREAKER_FAILURES=1000"}, settings...)
	k.relay = relaytest.Run(t, k.db, k.settings...)
	k.relay.AwaitRole(t, ready, "leader")
	return k
}

// newTried has webhooks of person 1, who is accepted, and waits until each of them that is at /a was tried.
func newTried(t *testing.T, rows ...string) *knowing {
	t.Helper()
	k := newKnowing(t)
	k.hook(rows...)
	k.accept(1)
	tried := 0
	for _, row := range rows {
		if strings.Fields(row)[3] == "/a" {
			tried++
		}
	}
	k.await("/a", tried)
	return k
}

func (k *knowing) answer(path string, status int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.statuses[path] = status
}

// hook writes each "person delivery_key attendee path [secret [headers]]" down as a webhook; - is nothing.
func (k *knowing) hook(rows ...string) { k.rehook(-1, rows...) }

// rehook replaces all webhooks of a person at once.
func (k *knowing) rehook(person int, rows ...string) {
	k.t.Helper()
	columns := make([][]string, 6)
	for _, row := range rows {
		f := append(strings.Fields(row), "-", "-")
		if f[3] = k.receiver.URL + f[3]; strings.HasSuffix(f[3], "-") {
			f[3] = " "
		}
		for i := range columns {
			columns[i] = append(columns[i], f[i])
		}
	}
	k.db.Exec(k.t, `with gone as (delete from webhooks where person = $1)
		insert into webhooks (person, delivery_key, attendee, url, secret, headers)
		select person::bigint, delivery_key, attendee, url, nullif(secret, '-'), nullif(headers, '-')::jsonb
		from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[]) as t (person, delivery_key,
			attendee, url, secret, headers)`,
		person, columns[0], columns[1], columns[2], columns[3], columns[4], columns[5])
}

// accept accepts a person, who may be there already.
func (k *knowing) accept(person int) {
	k.t.Helper()
	k.db.Exec(k.t, `insert into attendees (id, event_id, name, surname, email, status)
		values ($1, 1, 'Ada', 'Lovelace', 'ada@example.org', 'Accepted')
		on conflict (id) do update set status = 'Accepted'`, person)
}

func (k *knowing) cancel(person int) {
	k.t.Helper()
	k.db.Exec(k.t, "update attendees set status = 'Cancelled' where id = $1", person)
}

// at returns what came to a path.
func (k *knowing) at(path string) (list []relaytest.Webhook) {
	for _, w := range k.receiver.Webhooks() {
		if w.Path == path {
			list = append(list, w)
		}
	}
	return list
}

// await waits until n requests have come to a path, and returns them.
func (k *knowing) await(path string, n int) (list []relaytest.Webhook) {
	k.t.Helper()
	pgtest.WaitUntil(k.t, ready, fmt.Sprintf("%d requests have come to %s", n, path), func() (bool, string) {
		list = k.at(path)
		return len(list) >= n, fmt.Sprintf("%d; %q", len(list), k.states())
	})
	return list
}

// further waits until n more requests have come to a path: what was asked before the call is over with the first.
func (k *knowing) further(path string, n int) {
	k.t.Helper()
	k.await(path, len(k.at(path))+n)
}

// states are the messages as "delivery_key path state", in order.
func (k *knowing) states() []string {
	k.t.Helper()
	return pgtest.Values[string](k.t, k.db, `select format('%s %s %s', delivery_key,
		regexp_replace(webhook_url, '^http://[^/]*', ''), state)
		from attendee_relay.outbox order by commit_lsn, delivery_key, webhook_url`)
}

// become waits until the messages are these.
func (k *knowing) become(want ...string) {
	k.t.Helper()
	pgtest.WaitUntil(k.t, 2*ready, fmt.Sprintf("the messages are %q", want), func() (bool, string) {
		got := k.states()
		return slices.Equal(got, want), fmt.Sprintf("%q", got)
	})
}

// quiet fails where something came to /a later than a request that was under way at that time.
func (k *knowing) quiet(since time.Time) {
	k.t.Helper()
	for _, w := range k.at("/a") {
		if late := w.At.Sub(since); late > 400*time.Millisecond {
			k.t.Errorf("%s came to /a %v after nothing was to be sent there", w.ID, late)
		}
	}
}

// unsent checks clause 19 for the only message with the delivery_key k that ended unsent: it is logged, counted and
// shown.
func (k *knowing) unsent(reason string) {
	k.t.Helper()
	id := pgtest.Value[string](k.t, k.db,
		"select message_id from attendee_relay.outbox where delivery_key = 'k' and state in ('dead', 'skipped')")
	last := pgtest.Value[string](k.t, k.db,
		"select coalesce(last_error, '') from attendee_relay.outbox where message_id = $1", id)
	if !strings.HasPrefix(last, reason+": ") {
		k.t.Errorf("last_error is %q, want %s", last, reason)
	}
	k.reported(id, reason)
}

// reported waits until the end of a message is logged, and checks that it is the one that is counted for this reason.
// The line of its last attempt comes before.
func (k *knowing) reported(id, reason string) {
	k.t.Helper()
	pgtest.WaitUntil(k.t, ready, "the end of "+id+" is logged", func() (bool, string) {
		return slices.ContainsFunc(strings.Split(k.relay.Stderr(), "\n"), func(line string) bool {
			return strings.Contains(line, `"msg":"a message ended without being delivered"`) && strings.Contains(line, id) &&
				strings.Contains(line, `"reason":"`+reason+`"`)
		}), ""
	})
	counted := fmt.Sprintf("\nattendee_relay_messages_unsent_total{reason=%q} 1\n", reason)
	if _, metrics := k.relay.Get(k.t, "/metrics"); !strings.Contains(metrics, counted) {
		k.t.Errorf("it is not counted: no %q", counted)
	}
}

// signed reports whether a webhook is signed with relaytest.Secret and has this Authorization.
func signed(w relaytest.Webhook, authorization string) bool {
	return w.Verified == nil && w.Header.Get("Authorization") == authorization
}

const (
	oldRow = "another_secret {\"Authorization\":\"old\"}"
	newRow = relaytest.Secret + " {\"Authorization\":\"new\"}"
)

func TestKnowledge01WhatWasTriedBeforeGoesWithTheSecretAndHeadersOfNow(t *testing.T) {
	k := newTried(t, "1 k 1 /a "+oldRow)
	k.rehook(1, "1 k 1 /a "+newRow)
	k.db.Exec(t, "update attendees set name = 'Grace' where id = 1")
	k.further("/a", 2)
	k.answer("/a", http.StatusNoContent)
	k.become("k /a delivered")
	all := k.at("/a")
	first, last := all[0], all[len(all)-1]
	if signed(first, "old") || first.Header.Get("Authorization") != "old" || !signed(last, "new") {
		t.Errorf("first %q, %v; last %q, %v", first.Header.Get("Authorization"), first.Verified,
			last.Header.Get("Authorization"), last.Verified)
	}
	if first.Body != last.Body || first.ID != last.ID || !strings.Contains(last.Body, "Ada") {
		t.Errorf("%s %s, then %s %s", first.ID, first.Body, last.ID, last.Body)
	}
}

func TestKnowledge02WhatWasReadMoreThanAMinuteAgoIsAskedForBeforeItsFirstAttempt(t *testing.T) {
	k := newKnowing(t, "DELIVERY_ENABLED=false")
	k.hook("1 k 1 /a "+oldRow, "2 k 2 /b", "3 k 3 /b")
	k.accept(1)
	k.accept(2)
	k.accept(3)
	k.become("k /a pending", "k /b pending", "k /b pending")
	pgtest.WaitUntil(t, 2*time.Minute, "the messages are more than a minute old", func() (bool, string) {
		return pgtest.Value[bool](t, k.db,
			"select bool_and(created_at < now() - interval '60.5 seconds') from attendee_relay.outbox"), ""
	})
	k.rehook(1, "1 k 1 /c "+newRow)
	k.db.Exec(t, "delete from attendees where id = 2")
	k.cancel(3)
	k.hook("4 k 4 /d") // when this one is there, what was committed before is known as well
	k.accept(4)
	k.become("k /a pending", "k /b pending", "k /b pending", "k /d pending")
	k.relay.Kill()
	k.relay = relaytest.Run(t, k.db, k.settings[:len(k.settings)-1]...)
	k.become("k /c delivered", "k /b dead", "k /b dead", "k /d delivered")
	if got := k.at("/c"); len(got) != 1 || !signed(got[0], "new") || len(k.receiver.Webhooks()) != 2 {
		t.Errorf("%+v", k.receiver.Webhooks())
	}
}

func TestKnowledge03TheRowOfItsDeliveryKeyAndURLComesFirst(t *testing.T) {
	k := newTried(t, "1 k 1 /a "+oldRow)
	k.rehook(1, "1 k 1 /b "+oldRow, "1 k 1 /a "+newRow, "1 l 1 /a "+oldRow)
	k.further("/a", 2)
	k.answer("/a", http.StatusNoContent)
	k.become("k /a delivered")
	if all := k.at("/a"); !signed(all[len(all)-1], "new") || len(k.at("/b")) != 0 {
		t.Errorf("%+v", all[len(all)-1])
	}
}

func TestKnowledge04ElseTheOnlyRowOfItsDeliveryKey(t *testing.T) {
	k := newTried(t, "1 k 1 /a "+oldRow)
	k.rehook(1, "1 k 1 /b "+newRow, "1 l 1 /a "+oldRow)
	since := time.Now()
	k.become("k /b delivered")
	k.quiet(since)
	if got := k.at("/b"); len(got) != 1 || !signed(got[0], "new") || got[0].ID != k.at("/a")[0].ID ||
		got[0].Body != k.at("/a")[0].Body {
		t.Errorf("%+v", got)
	}
}

func TestKnowledge05UnlessAnotherMessageOfTheAcceptanceHadThatURLOrHasIt(t *testing.T) {
	for name, c := range map[string]struct{ later, other, state string }{
		"had it and was delivered there": {"1 l 1 /b", "/b", "delivered"},
		"had it and moved":               {"1 l 1 /c", "/c", "delivered"},
		"has it now":                     {"1 l 1 /b", "/b", "pending"},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKnowing(t)
			if name != "had it and was delivered there" {
				k.answer("/b", http.StatusInternalServerError)
			}
			k.hook("1 k 1 /a", "1 l 1 /b")
			if name == "has it now" {
				k.rehook(1, "1 k 1 /a", "1 l 1 /a2")
				k.answer("/a2", http.StatusInternalServerError)
			}
			k.accept(1)
			k.await("/a", 1)
			if name == "has it now" {
				k.await("/a2", 1)
				k.rehook(1, "1 k 1 /a", c.later)
			}
			k.await("/b", 1)
			if name == "had it and moved" {
				k.rehook(1, "1 k 1 /a", c.later)
				k.await("/c", 1)
			}
			before := k.at("/b")
			k.rehook(1, "1 k 1 /b", c.later)
			since := time.Now()
			k.become("k /a dead", "l "+c.other+" "+c.state)
			k.unsent("endpoint_removed")
			k.quiet(since)
			for _, w := range k.at("/b") {
				if w.ID != before[0].ID {
					t.Errorf("%s came there as well", w.ID)
				}
			}
		})
	}
}

// What shared a URL goes on sharing it: attendees of one order, whose organiser gives another URL.
func TestKnowledge05MessagesThatHadOneURLMoveTogether(t *testing.T) {
	k := newTried(t, "1 k 1 /a", "1 l 2 /a")
	k.rehook(1, "1 k 1 /b", "1 l 2 /b")
	k.become("k /b delivered", "l /b delivered")
}

func TestKnowledge06ElseTheRowWithItsURLAndAttendee(t *testing.T) {
	k := newTried(t, "1 k 1 /a "+oldRow)
	k.rehook(1, "1 edited-2 2 /a "+oldRow, "1 edited-1 1 /a "+newRow)
	k.further("/a", 2)
	k.answer("/a", http.StatusNoContent)
	k.become("k /a delivered")
	if all := k.at("/a"); !signed(all[len(all)-1], "new") {
		t.Errorf("%+v", all[len(all)-1])
	}
}

func TestKnowledge07ElseTheOnlyRowWithItsURL(t *testing.T) {
	k := newTried(t, "1 k 1 /a "+oldRow)
	k.rehook(1, "1 edited A-1 /a "+newRow, "1 other A-1 /b "+oldRow)
	k.further("/a", 2)
	k.answer("/a", http.StatusNoContent)
	k.become("k /a delivered")
	if all := k.at("/a"); !signed(all[len(all)-1], "new") || len(k.at("/b")) != 0 {
		t.Errorf("%+v", all[len(all)-1])
	}
}

func TestKnowledge08WhereSeveralRowsFitItStaysAsStored(t *testing.T) {
	for name, rows := range map[string][]string{
		"of its delivery_key":       {"1 k 1 /b " + oldRow, "1 k 1 /c " + oldRow},
		"with its URL and attendee": {"1 l 1 /a " + oldRow, "1 m 1 /a " + oldRow},
		"with its URL":              {"1 l 2 /a " + oldRow, "1 m 3 /a " + oldRow},
		// None fits, and its attendee is there.
		"with its attendee only": {"1 l 1 /b " + oldRow, "1 m 2 /c " + oldRow},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKnowing(t)
			k.hook("1 k 1 /a " + newRow)
			k.accept(1)
			k.await("/a", 1)
			k.rehook(1, rows...)
			k.further("/a", 2)
			k.answer("/a", http.StatusNoContent)
			k.become("k /a delivered")
			if all := k.at("/a"); !signed(all[len(all)-1], "new") || len(all) != len(k.receiver.Webhooks()) {
				t.Errorf("%+v", k.receiver.Webhooks())
			}
		})
	}
}

func TestKnowledge09ABlankURLIsTheDefaultOne(t *testing.T) {
	k := newKnowing(t)
	k.relay.Kill()
	k.relay = relaytest.Run(t, k.db, append(k.settings, "DELIVERY_DEFAULT_URL="+k.receiver.URL+"/default")...)
	k.hook("1 k 1 /a")
	k.accept(1)
	k.await("/a", 1)
	k.rehook(1, "1 k 1 - "+newRow)
	since := time.Now()
	k.become("k /default delivered")
	k.quiet(since)
	if got := k.at("/default"); len(got) != 1 || !signed(got[0], "new") {
		t.Errorf("%+v", got)
	}
}

func TestKnowledge10ABlankURLWithoutADefaultEndsItSkipped(t *testing.T) {
	k := newTried(t, "1 k 1 /a")
	k.rehook(1, "1 k 1 -")
	since := time.Now()
	k.become("k /a skipped")
	k.unsent("no_url")
	k.quiet(since)
}

func TestKnowledge11WithoutItsDeliveryKeyURLAndAttendeeTheEndpointWasRemoved(t *testing.T) {
	k := newTried(t, "1 k 1 /a")
	k.rehook(1, "1 l 2 /b")
	since := time.Now()
	k.become("k /a dead")
	k.unsent("endpoint_removed")
	k.quiet(since)
	if len(k.at("/b")) != 0 {
		t.Error("it went to another's endpoint")
	}
}

// An event's webhook is switched off; the others of the event, which have messages of their own, are there still.
func TestKnowledge11AWebhookThatWasSwitchedOffGetsNothing(t *testing.T) {
	for name, rows := range map[string][]string{
		"of two with keys of their own":   {"1 k 1 /a", "1 l 1 /b"},
		"of two with one key":             {"1 k 1 /a", "1 k 1 /b"},
		"of three with one key":           {"1 k 1 /a", "1 k 1 /b", "1 k 1 /c"},
		"of three with keys of their own": {"1 k 1 /a", "1 l 1 /b", "1 m 1 /c"},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKnowing(t)
			k.hook(rows...)
			k.accept(1)
			k.await("/a", 1)
			for _, row := range rows[1:] {
				k.await(strings.Fields(row)[3], 1)
			}
			k.rehook(1, rows[1:]...)
			since := time.Now()
			want := []string{"k /a dead"}
			for _, row := range rows[1:] {
				f := strings.Fields(row)
				want = append(want, f[1]+" "+f[3]+" delivered")
			}
			k.become(want...)
			k.unsent("endpoint_removed")
			k.quiet(since)
			if n := len(k.receiver.Webhooks()) - len(k.at("/a")); n != len(rows)-1 {
				t.Errorf("%d requests to the other webhooks", n)
			}
		})
	}
}

func TestKnowledge12NothingComesAfterALaterMessageOfTheAttendee(t *testing.T) {
	k := newTried(t, "1 k 1 /a")
	// The later acceptance is for another delivery_key, and is sent at once.
	k.rehook(1, "1 l 1 /b")
	k.cancel(1)
	k.accept(1)
	k.become("k /a pending", "l /b delivered")
	k.rehook(1, "1 k 1 /b")
	since := time.Now()
	k.become("k /a dead", "l /b delivered")
	k.unsent("endpoint_removed")
	k.quiet(since)
	if len(k.at("/b")) != 1 {
		t.Errorf("%d came to /b", len(k.at("/b")))
	}
}

func TestKnowledge13WithoutARowItIsNotSentAndAskedAgainByTheSchedule(t *testing.T) {
	k := newKnowing(t)
	k.answer("/clock", http.StatusInternalServerError)
	k.hook("1 k 1 /a", "2 clock 2 /clock")
	k.accept(1)
	k.accept(2)
	k.await("/a", 1)
	k.rehook(1)
	since := time.Now()
	k.further("/clock", 6) // as often it would have been tried
	k.quiet(since)
	const made = "select attempts from attendee_relay.outbox where delivery_key = 'k'"
	attempts := pgtest.Value[int](t, k.db, made)
	k.become("k /a pending", "clock /clock pending")
	k.hook("1 k 1 /b " + newRow)
	k.become("k /b delivered", "clock /clock pending")
	if got := k.at("/b"); len(got) != 1 || !signed(got[0], "new") || pgtest.Value[int](t, k.db, made) != attempts+1 {
		t.Errorf("%+v", got)
	}
}

func TestKnowledge14WithoutARowItIsWithdrawnAtTheEndOfTheSchedule(t *testing.T) {
	k := newKnowing(t, "DELIVERY_RETRY_SCHEDULE=1s,1s,2s")
	k.hook("1 k 1 /a")
	k.accept(1)
	first := k.await("/a", 1)[0]
	k.rehook(1)
	k.become("k /a dead")
	// Asked for the first time after the first wait, then after each of the three.
	if took := time.Since(first.At); took < 4*time.Second || took > 12*time.Second {
		t.Errorf("it was withdrawn after %v", took)
	}
	k.unsent("withdrawn")
	if n := len(k.at("/a")); n != 1 {
		t.Errorf("%d requests", n)
	}
}

func TestKnowledge15WhoIsNoLongerAcceptedIsNotAnnounced(t *testing.T) {
	for name, change := range map[string]string{
		"deleted":                 "delete from attendees where id = 1",
		"cancelled, with a row":   "update attendees set status = 'Cancelled' where id = 1",
		"cancelled, without rows": "delete from webhooks; update attendees set status = 'Cancelled' where id = 1",
	} {
		t.Run(name, func(t *testing.T) {
			k := newKnowing(t, "DELIVERY_RETRY_SCHEDULE=2s,1h")
			k.hook("1 k 1 /a", "2 k 2 /a")
			k.accept(1)
			k.await("/a", 1)
			k.db.Exec(t, change)
			since := time.Now()
			k.become("k /a dead")
			if took := time.Since(since); took > 20*time.Second {
				t.Errorf("it ended after %v", took)
			}
			k.unsent("withdrawn")
			if n := len(k.at("/a")); n != 1 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// Who is accepted again is announced, by the earlier message as well.
func TestKnowledge15WhoIsAcceptedAgainIsAnnounced(t *testing.T) {
	k := newKnowing(t, "DELIVERY_RETRY_SCHEDULE=2s,2s,2s,2s,2s")
	k.hook("1 k 1 /a")
	k.accept(1)
	k.await("/a", 1)
	k.db.Exec(t, "update attendees set status = 'Cancelled' where id = 1; update attendees set status = 'Accepted' "+
		"where id = 1")
	k.answer("/a", http.StatusNoContent)
	k.become("k /a delivered")
}

func TestKnowledge16AQueryThatFailsLeavesItAsStored(t *testing.T) {
	k := newKnowing(t)
	k.hook("1 k 1 /a "+newRow, "2 k 2 /a")
	k.accept(1)
	k.accept(2)
	k.await("/a", 2)
	k.db.Exec(t, "update webhooks set price = 'none', url = $1, secret = 'another_secret', headers = null where person "+
		"= 1", k.receiver.URL+"/b")
	k.db.Exec(t, "delete from attendees where id = 2") // the query's failure for one hides no other
	k.further("/a", 2)
	k.answer("/a", http.StatusNoContent)
	k.become("k /a delivered", "k /a dead")
	id := pgtest.Value[string](t, k.db, "select message_id from attendee_relay.outbox where state = 'delivered'")
	for _, w := range k.at("/a") {
		if w.ID == id && !signed(w, "new") {
			t.Errorf("%+v", w)
		}
	}
	if len(k.at("/b")) != 0 {
		t.Error("it went where a failing query says")
	}
}

func TestKnowledge17WhatWaitsForAnEndpointThatGetsNothingIsAskedForAsWell(t *testing.T) {
	for name, c := range map[string]struct {
		status   int
		settings []string
	}{
		"disabled": {http.StatusGone, []string{"DELIVERY_BREAKER_PROBE=1s"}},
		"paused":   {http.StatusInternalServerError, []string{"DELIVERY_BREAKER_FAILURES=2", "DELIVERY_BREAKER_PROBE=1s"}},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKnowing(t, c.settings...)
			k.answer("/a", c.status)
			for person := 1; person <= 5; person++ {
				k.hook(fmt.Sprintf("%d k %d /a", person, person))
				k.accept(person)
			}
			pgtest.WaitUntil(t, ready, "the endpoint gets nothing", func() (bool, string) {
				status := relaytest.Start(t, relaytest.Environ(k.db), "status", "--json")
				status.Exit(t, ready)
				return strings.Contains(status.Stdout(), `"`+name+`"`), status.Stdout()
			})
			k.rehook(1, "1 k 1 /b "+newRow)
			k.rehook(2, "2 k 2 -")
			k.rehook(3, "3 l 9 /b")
			k.db.Exec(t, "delete from attendees where id = 4")
			k.become("k /b delivered", "k /a skipped", "k /a dead", "k /a dead", "k /a pending")
			if got := k.at("/b"); len(got) != 1 || !signed(got[0], "new") {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestKnowledge18ARedirectedMessageKeepsItsStep(t *testing.T) {
	k := newKnowing(t, "DELIVERY_RETRY_SCHEDULE=1s,1s,1s")
	k.answer("/b", http.StatusInternalServerError)
	k.hook("1 k 1 /a")
	k.accept(1)
	k.await("/a", 2)
	k.rehook(1, "1 k 1 /b")
	k.become("k /b dead")
	if a, b := len(k.at("/a")), len(k.at("/b")); a != 2 || b != 2 {
		t.Errorf("%d attempts there and %d here, of 4", a, b)
	}
}

func TestKnowledge18ARedirectedMessageIsDueAtOnce(t *testing.T) {
	k := newKnowing(t, "DELIVERY_RETRY_SCHEDULE=1h", "DELIVERY_BREAKER_PROBE=1s")
	k.hook("1 k 1 /a", "2 k 2 /a")
	k.accept(1)
	k.await("/a", 1)
	k.answer("/a", http.StatusGone)
	k.accept(2)
	k.await("/a", 2)
	k.rehook(1, "1 k 1 /b")
	since := time.Now()
	k.become("k /b delivered", "k /a pending")
	if took := time.Since(since); took > 25*time.Second {
		t.Errorf("it waited %v", took)
	}
}

func TestKnowledge19WhatEndsUnsentIsLoggedCountedAndShown(t *testing.T) {
	k := newKnowing(t, "DELIVERY_RETRY_SCHEDULE=100ms")
	_, metrics := k.relay.Get(t, "/metrics")
	for _, reason := range []string{"exhausted", "expired", "discarded", "endpoint_removed", "withdrawn", "body_too_large",
		"no_url", "forgotten"} {
		line := fmt.Sprintf("\nattendee_relay_messages_unsent_total{reason=%q} 0\n", reason)
		if !strings.Contains(metrics, line) {
			t.Errorf("there is no %q", line)
		}
	}
	k.hook("1 k 1 -", "2 l 2 /a")
	k.accept(1)
	k.accept(2)
	pgtest.WaitUntil(t, ready, "both have ended", func() (bool, string) {
		got := pgtest.Values[string](t, k.db, "select state from attendee_relay.outbox order by 1")
		return slices.Equal(got, []string{"dead", "skipped"}), fmt.Sprintf("%q", got)
	})
	k.unsent("no_url")
	id := pgtest.Value[string](t, k.db, "select message_id from attendee_relay.outbox where state = 'dead'")
	k.reported(id, "exhausted")
}
