package main

import (
	"net/http"
	"strings"
	"testing"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

// movingTable has columns of their own for its identity, its key and the person that the row is about, so that each can
// change alone.
const movingTable = `create table registrations (id int, part int, number text, person int, status text,
	primary key (id, part))
	partition by list (part);
	create table first_part partition of registrations for values in (1);
	create table second_part partition of registrations for values in (2);
	create table webhooks (person int, url text)`

const movingQuery = `select r.number as key, r.person as attendee_id, 'n' as name, 's' as surname, 'e' as email,
	1::numeric as price, 'EUR' as currency,
	1 as event_id, 'e' as event_name, h.url as webhook_url
	from public.registrations r join public.webhooks h on h.person = r.person where r.number = any ($1::text[])`

// newMoving starts a relay on these tables. Requests to /a are answered with 500, all others with 204. It returns after
// the first failed attempt for the row of person 1; before each further attempt its message is looked up by the row's
// key.
func newMoving(t *testing.T) *knowing {
	t.Helper()
	t.Parallel()
	k := &knowing{t: t, db: pgtest.New(t, pgtest.Empty()), statuses: map[string]int{"/a": http.StatusInternalServerError}}
	k.receiver = relaytest.NewReceiver(t, func(w relaytest.Webhook) int {
		k.mu.Lock()
		defer k.mu.Unlock()
		if status := k.statuses[w.Path]; status != 0 {
			return status
		}
		return http.StatusNoContent
	})
	k.db.Exec(t, movingTable)
	k.db.Exec(t, pgtest.Publication("attendee_relay", "registrations"))
	k.relay = relaytest.Run(t, k.db, "SOURCE_TABLE=public.registrations", "SOURCE_KEY=number", "SOURCE_QUERY="+movingQuery,
		"DELIVERY_RETRY_SCHEDULE="+strings.Repeat("500ms,", 9)+"500ms", "DELIVERY_BREAKER_FAILURES=1000")
	k.relay.AwaitRole(t, ready, "leader")
	k.db.Exec(t, "insert into webhooks values (1, $1 || '/a'), (2, $1 || '/c')", k.receiver.URL)
	k.db.Exec(t, "insert into registrations values (1, 1, 'n1', 1, 'Accepted')")
	k.await("/a", 1)
	return k
}

// A row is still the row that was accepted when its identity and its key have changed, and a late message goes where
// the payload query sends the row now.
func TestALateMessageFollowsItsRow(t *testing.T) {
	const toB = "update webhooks set url = replace(url, '/a', '/b'); "
	for name, c := range map[string]struct{ change, want string }{
		"another key":              {"update registrations set number = 'n2'", "n1 /b delivered"},
		"another identity":         {"update registrations set id = 2", "n1 /b delivered"},
		"another identity and key": {"update registrations set id = 2, number = 'n2'", "n1 /b delivered"},
		"both in two steps": {"update registrations set id = 2, number = 'n2'; " +
			"update registrations set id = 3, number = 'n3'", "n1 /b delivered"},
		"there and back": {"update registrations set id = 2, number = 'n2'; update registrations set id = 1, number = 'n3'",
			"n1 /b delivered"},
		"deleted and inserted with its identity and another key": {
			"delete from registrations; insert into registrations values (1, 1, 'n2', 1, 'Accepted')", "n1 /b delivered"},
		"deleted and inserted with its key and another identity": {
			"delete from registrations; insert into registrations values (2, 1, 'n1', 1, 'Accepted')", "n1 /b delivered"},
		"to another partition": {"update registrations set part = 2", "n1 /b delivered"},
		"truncated and inserted with its key and another identity": {
			"truncate registrations; insert into registrations values (2, 2, 'n1', 1, 'Accepted')", "n1 /b delivered"},
		"cancelled under another identity and key": {
			"update registrations set id = 2, number = 'n2'; update registrations set status = 'Cancelled'", "n1 /a dead"},
	} {
		t.Run(name, func(t *testing.T) {
			k := newMoving(t)
			k.db.Exec(t, toB+c.change) // one transaction
			k.become(c.want)
		})
	}
}

// The same in several transactions, and with a change of the key at the end.
func TestALateMessageFollowsItsRowThroughSeveralTransactions(t *testing.T) {
	k := newMoving(t)
	k.db.Exec(t, "update registrations set part = 2")
	k.db.Exec(t, "delete from registrations; insert into registrations values (5, 1, 'n1', 1, 'Accepted')")
	k.db.Exec(t, "update registrations set id = 6, number = 'n6'")
	k.db.Exec(t, "update webhooks set url = replace(url, '/a', '/b')")
	k.become("n1 /b delivered")
}

// The identity and the key that a row has left belong to the row that takes them.
func TestALateMessageDoesNotFollowWhoTookItsRowsPlace(t *testing.T) {
	k := newMoving(t)
	k.db.Exec(t, "update registrations set id = 2, number = 'n2'")
	k.db.Exec(t, "insert into registrations values (1, 1, 'n1', 2, 'Accepted')")
	k.await("/c", 1)
	k.db.Exec(t, "update webhooks set url = replace(url, '/a', '/b')")
	k.become("n1 /b delivered", "n1 /c delivered")
}
