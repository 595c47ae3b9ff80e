package outbox_test

import (
	"testing"

	"attendee-relay/internal/capturetest"
	"attendee-relay/internal/pgtest"
)

// Under the default replica identity such an edit and an acceptance are the same message in the stream.
func TestEditingTheEmailsOfTheBaselineAnnouncesNothing(t *testing.T) {
	t.Parallel()
	rig := capturetest.New(pgtest.New(t))
	rig.DB.Exec(t, `insert into events (id, name, webhook_url) values (1, 'Party', 'https://example.org/hook');
		insert into attendees (event_id, name, surname, email, status)
		select 1, 'Ada', 'Lovelace', i || '@example.org', 'Accepted' from generate_series(1, 1000) as i`)
	rig.Start(t)
	rig.AwaitLeading(t)
	rig.DB.Exec(t, "update attendees set email = 'new-' || email")
	rig.DB.Exec(t, "insert into attendees (event_id, name, surname, email, status) values (1, 'Jane', 'Doe', "+
		"'jane@example.org', 'Accepted')")
	awaitCount(t, rig, 1)
	rig.Settled(t)
	if got := pgtest.Values[string](t, rig.DB,
		"select payload::jsonb -> 'attendee' ->> 'name' from attendee_relay.outbox"); len(got) != 1 || got[0] != "Jane" {
		t.Errorf("announced: %q, want Jane alone, who was accepted after the edits", got)
	}
}
