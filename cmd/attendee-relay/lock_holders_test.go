package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

// A session locks a table that the payload query reads, the watched one among them, directly or through a view: the
// fault names table and holder, and the messages that waited are sent when the lock is released.
func TestALockedTableOfThePayloadQueryIsNamed(t *testing.T) {
	t.Parallel()
	const throughView = `create view priced as select id, price, currency from fees`
	const query = `SELECT a.id AS key, a.id AS attendee_id, a.name, a.surname, a.email, p.price, p.currency,
		e.id AS event_id,
		e.name AS event_name, e.webhook_url FROM attendees a JOIN events e ON e.id = a.event_id
		LEFT JOIN priced p ON p.id = a.fee_id WHERE a.id = ANY ($1::bigint[])`
	// Making a slot waits for every transaction of its server, those that hold locks too.
	server := pgtest.Start(t, nil)
	for _, c := range []struct {
		name, table, query string
	}{
		{name: "the watched table", table: "attendees"},
		{name: "a table of the embedded query", table: "form_values"},
		{name: "a table of the operator's query", table: "events", query: query},
		{name: "a table under a view of it", table: "fees", query: query},
	} {
		db := pgtest.On(t, server)
		db.Exec(t, throughView)
		receiver := relaytest.NewReceiver(t, nil)
		event := relaytest.AddEvent(t, db, receiver.URL)
		relay := relaytest.Run(t, db, "SOURCE_QUERY="+c.query, "OUTBOX_SETTLE=1s")
		relay.AwaitRole(t, ready, "leader")
		relaytest.Accept(t, db, event, 1)
		awaitState(t, db, "delivered", 1)
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			relaytest.Accept(t, db, event, 1)
			holder, release := db.Lock(t, c.table)
			var message string
			relay.Await(t, stopped, "names the holder", func(s relaytest.State) bool {
				for _, f := range s.Faults {
					if strings.Contains(f.Message, fmt.Sprint("process ", holder)) {
						message = f.Message
						return true
					}
				}
				return false
			})
			release()
			namesHolder(t, message, "public."+c.table, holder)
			relay.Await(t, ready, "has no fault", func(s relaytest.State) bool {
				return s.Status == http.StatusOK && len(s.Faults) == 0
			})
			awaitState(t, db, "delivered", 2)
		})
	}
}

// A first start that waits for the watched table says who holds it.
func TestAFirstStartThatWaitsForALockNamesTheHolder(t *testing.T) {
	t.Parallel()
	db := pgtest.On(t, pgtest.Start(t, nil))
	holder, release := db.Lock(t, "attendees")
	relay := relaytest.Run(t, db)
	var message string
	relay.Await(t, stopped, "names the holder", func(s relaytest.State) bool {
		for _, f := range s.Faults {
			if strings.Contains(f.Message, fmt.Sprint("process ", holder)) {
				message = f.Message
			}
		}
		return message != "" && s.Status == http.StatusServiceUnavailable
	})
	namesHolder(t, message, "public.attendees", holder)
	release()
	relay.AwaitRole(t, ready, "leader")
}
