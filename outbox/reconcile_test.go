package outbox_test

import (
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"attendee-relay/internal/capturetest"
	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/postgres"
	"attendee-relay/internal/secret"
	"attendee-relay/outbox"
	"attendee-relay/replication"
)

// A look at the table that begins while an earlier one's differences are being recorded sees them as well.
func TestWhatOneLookFoundIsNotRecordedByTheNext(t *testing.T) {
	t.Parallel()
	rig := peopleRig(t, `create table people (id int, status text, primary key (id)) partition by range (id);
		create table rest partition of people default; create table mid (id int primary key, status text);
		insert into mid values (1001, 'Accepted')`)
	var recorder *outbox.Recorder
	rig.Recorder = func(r *outbox.Recorder) { recorder = r }
	// The relay's own look at the start is over before there is anything to see, and there is no other.
	registry := prometheus.NewRegistry()
	rig.Capture = func(c *replication.Capture) {
		c.WatchEvery = time.Hour
		c.Register(registry)
	}
	rig.Start(t)
	rig.AwaitLeading(t)
	pgtest.WaitUntil(t, capturetest.Patience, "the first look is over", func() (bool, string) {
		return metric(t, registry, "attendee_relay_slot_retained_wal_bytes") > 0 &&
			pgtest.Value[bool](t, rig.DB,
				"select not exists (select from pg_stat_activity where datname = current_database() and application_name like "+
					"'%watch')"), ""
	})
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
	// A record of a gap waits, but not for a lock, which the relay would give up on.
	rig.DB.Exec(t, `create table go_on (); create function hold() returns trigger language plpgsql
		set search_path = public as $$
		begin while not exists (select from go_on) loop perform pg_sleep(0.01); end loop; return new; end $$;
		create trigger hold before insert on attendee_relay.gap for each row execute function hold()`)
	first := look()
	recorded := make(chan error, 1)
	go func() {
		_, err := recorder.Reconcile(t.Context(), first)
		recorded <- err
	}()
	pgtest.WaitUntil(t, capturetest.Patience, "the first look's differences are being recorded", func() (bool, string) {
		return pgtest.Value[bool](t, rig.DB,
			"select exists (select from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep')"), ""
	})
	second := look()
	rig.DB.Exec(t, "insert into go_on default values")
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

func metric(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			return family.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}
