package outbox_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"attendee-relay/internal/capturetest"
	"attendee-relay/internal/pgtest"
)

// A row leaves its id while the payload of its acceptance is being read, and another row is accepted under that id before the
// answer is stored. The answer is then of a place where the acceptance's row is no more: stored, it would be told of the other row's
// attendee, and after the other row's own acceptance, which is the later one.
func TestAnAnswerFromBeforeTheRowMovedIsNotStored(t *testing.T) {
	t.Parallel()
	rig := peopleRig(t, peopleTable+"; create table ready ()")
	rig.Outbox.QueryTimeout = capturetest.Patience
	const lock = 7
	// Nothing is ready at first; later the resolver's query, and only that, waits for the test.
	rig.Outbox.Query = strings.Replace(peopleQuery, "where", fmt.Sprintf(`where case when not exists (select from ready) then false
		when current_setting('application_name') like '%%resolver' then pg_advisory_xact_lock_shared(%d)::text is not null
		else true end and`, lock), 1)
	rig.Start(t)
	rig.AwaitLeading(t)
	held, err := rig.DB.Pool(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := held.Exec(t.Context(), "select pg_advisory_xact_lock($1)", lock); err != nil {
		t.Fatal(err)
	}
	rig.DB.Exec(t, "insert into people values (1, 'Accepted', 'first')")
	awaitAcceptance(t, rig, "1", "waiting", "")
	rig.DB.Exec(t, "insert into ready default values")
	rig.DB.Exec(t, "update people set note = 'first, changed'")
	pgtest.WaitUntil(t, capturetest.Patience, "the resolver reads the payload", func() (bool, string) {
		return pgtest.Value[bool](t, rig.DB, "select exists (select from pg_locks where locktype = 'advisory' and not granted and objid = $1)", lock), ""
	})
	rig.DB.Exec(t, "update people set id = 2")
	rig.DB.Exec(t, "insert into people values (1, 'Accepted', 'second')")
	awaitMessages(t, rig, "1")
	if err := held.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	rig.Settled(t)
	got := pgtest.Values[string](t, rig.DB, "select attendee_id from attendee_relay.message order by id")
	if want := []string{"1", "2"}; !slices.Equal(got, want) {
		t.Errorf("the messages are of the attendees %q, not %q", got, want)
	}
}
