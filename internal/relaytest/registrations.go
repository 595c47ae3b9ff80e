package relaytest

import (
	"fmt"
	"testing"

	"attendee-relay/internal/pgtest"
)

// AddEvent makes an event whose webhooks go to a URL, signed with Secret, and returns its id.
func AddEvent(t *testing.T, db *pgtest.DB, url string) int64 {
	t.Helper()
	return pgtest.Value[int64](t, db, `insert into events (name, webhook_url, webhook_secret)
		values ('Sommerfest', $1, $2) returning id`, url, Secret)
}

// Accept registers n attendees for an event, each accepted in a transaction of its own.
func Accept(t *testing.T, db *pgtest.DB, event int64, n int) {
	t.Helper()
	for i := range n {
		db.Exec(t, `insert into attendees (event_id, name, surname, email, status)
			values ($1, 'Ada', 'Lovelace', $2, 'Accepted')`, event, fmt.Sprintf("ada%d@example.org", i))
	}
}

func countOf(n, of int) string { return fmt.Sprintf("%d of %d", n, of) }
