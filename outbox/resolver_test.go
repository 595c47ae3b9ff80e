package outbox_test

import (
	"slices"
	"strings"
	"testing"

	"attendee-relay/internal/capturetest"
	"attendee-relay/internal/pgtest"
)

// readingRig has the resolver in the middle of its payload query for the acceptance of row 1, whose note is "read": the
// query has its snapshot, and does not end before the test lets it.
func readingRig(t *testing.T) (rig *capturetest.Rig, goOn func()) {
	t.Helper()
	rig = peopleRig(t, peopleTable+"; create table ready ()")
	rig.Outbox.QueryTimeout = capturetest.Patience
	// Nothing is ready at first; later the resolver's query, and only that, waits for the test.
	rig.Outbox.Query = strings.Replace(strings.Replace(peopleQuery, "'Ada'", "note", 1), "where",
		`where case when not exists (select from ready) then false
		when current_setting('application_name') like '%resolver' then pg_advisory_xact_lock_shared(1)::text is not null
		else true end and`, 1)
	rig.Start(t)
	rig.AwaitLeading(t)
	held, err := rig.DB.Pool(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := held.Exec(t.Context(), "select pg_advisory_xact_lock(1)"); err != nil {
		t.Fatal(err)
	}
	rig.DB.Exec(t, "insert into people values (1, 'Accepted')")
	awaitAcceptance(t, rig, "1", "waiting", "")
	// It is evaluated on its own schedule, too.
	rig.DB.Exec(t, "begin; insert into ready default values; update people set note = 'read'; commit")
	pgtest.WaitUntil(t, capturetest.Patience, "the resolver reads the payload", func() (bool, string) {
		return pgtest.Value[bool](t, rig.DB, `select exists (select from pg_locks where locktype = 'advisory' and not granted
			and database = (select oid from pg_database where datname = current_database()))`), ""
	})
	return rig, func() {
		if err := held.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// told returns the messages in the order of their recording, as "attendee: name".
func told(t *testing.T, rig *capturetest.Rig) []string {
	t.Helper()
	rig.Settled(t)
	return pgtest.Values[string](t, rig.DB,
		"select format('%s: %s', attendee_id, payload::json -> 'attendee' ->> 'name') from attendee_relay.message order by "+
			"id")
}

// A row leaves its id while the payload of its acceptance is being read, and another row is accepted under that id
// before the answer is stored. The answer belongs to the place that the acceptance's row has left: if it were stored,
// it would announce the other row's attendee, and after the other row's own acceptance, which is the later one.
func TestAnAnswerFromBeforeTheRowMovedIsNotStored(t *testing.T) {
	t.Parallel()
	rig, goOn := readingRig(t)
	rig.DB.Exec(t, "update people set id = 2, note = 'the first'")
	rig.DB.Exec(t, "insert into people values (1, 'Accepted', 'the second')")
	awaitMessages(t, rig, "1")
	goOn()
	if got, want := told(t, rig), []string{"1: the second", "2: the first"}; !slices.Equal(got, want) {
		t.Errorf("told are %q, not %q", got, want)
	}
}

// A row that is edited all the time is told of all the same.
func TestAnAnswerFromBeforeTheRowWasEditedIsStored(t *testing.T) {
	t.Parallel()
	rig, goOn := readingRig(t)
	rig.DB.Exec(t, "update people set note = 'edited'")
	rig.CaughtUp(t)
	goOn()
	if got, want := told(t, rig), []string{"1: read"}; !slices.Equal(got, want) {
		t.Errorf("told are %q, not %q", got, want)
	}
}
