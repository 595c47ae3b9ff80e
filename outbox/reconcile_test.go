package outbox_test

import (
	"slices"
	"testing"

	"attendee-relay/internal/capturetest"
	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/postgres"
	"attendee-relay/internal/secret"
	"attendee-relay/outbox"
)

// A look at the table that begins while an earlier one's differences are being recorded sees them as well.
func TestWhatOneLookFoundIsNotRecordedByTheNext(t *testing.T) {
	t.Parallel()
	rig := peopleRig(t, `create table people (id int, status text, primary key (id)) partition by range (id);
		create table rest partition of people default; create table mid (id int primary key, status text);
		insert into mid values (1001, 'Accepted')`)
	var recorder *outbox.Recorder
	rig.Recorder = func(r *outbox.Recorder) { recorder = r }
	rig.Start(t)
	rig.AwaitLeading(t)
	rig.DB.Exec(t, "alter table people attach partition mid for values from (1000) to (2000)")
	conn, err := postgres.Direct(t.Context(), secret.New(rig.DB.URL()), "test")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	look := func() int64 {
		number, found, err := recorder.Compare(t.Context(), conn)
		if err != nil || found != 1 {
			t.Fatalf("a look found %d differences, %v", found, err)
		}
		return number
	}
	holder, err := rig.DB.Pool(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := holder.Exec(t.Context(), "lock table attendee_relay.gap in exclusive mode"); err != nil {
		t.Fatal(err)
	}
	first := look()
	recorded := make(chan error, 1)
	go func() {
		_, err := recorder.Reconcile(t.Context(), first)
		recorded <- err
	}()
	pgtest.WaitUntil(t, capturetest.Patience, "the first look's differences are being recorded", func() (bool, string) {
		return pgtest.Value[bool](t, rig.DB, "select exists (select from pg_locks where not granted and relation = 'attendee_relay.gap'::regclass)"), ""
	})
	second := look()
	if err := holder.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-recorded; err != nil {
		t.Fatal(err)
	}
	if _, err := recorder.Reconcile(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	rig.Settled(t)
	if keys := rig.Keys(t); !slices.Equal(keys, []string{"1001"}) {
		t.Errorf("announced %q", keys)
	}
}
