package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"attendee-relay/internal/pgserver"
	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

// ready is how long a relay may take: after an outage it tries again every 15 s at the latest.
const ready = 30 * time.Second

// checkUntouched expects nothing that a relay makes in the database: no table of its own and no slot.
func checkUntouched(t *testing.T, db *pgtest.DB) {
	t.Helper()
	const left = `select count(*) from (
		select relname from pg_class where relnamespace = to_regnamespace('attendee_relay')
		union all select slot_name from pg_replication_slots where database = current_database()) as made`
	if n := pgtest.Value[int64](t, db, left); n != 0 {
		t.Errorf("the relay has made %d things in a database that it cannot use", n)
	}
}

func TestRunNamesEveryWrongVariable(t *testing.T) {
	t.Parallel()
	relay := relaytest.Start(t, []string{
		"DATABASE_URL=mysql://registration:hunter2@db/registration",
		"REPLICATION_SLOT=Attendee-Relay",
		"DELIVERY_TIMEOUT=soon",
		"DELIVERY_RETRY_SCHEDUEL=5s",
		"SOURCE_REPEAT=sometimes",
		"ADMIN_ADDR=8080",
	}, "run")
	if status := relay.Exit(t, 20*time.Second); status != statusUsage {
		t.Errorf("exit status %d", status)
	}
	for _, name := range []string{"DATABASE_URL", "REPLICATION_SLOT", "DELIVERY_TIMEOUT", "DELIVERY_RETRY_SCHEDUEL",
		"SOURCE_REPEAT", "ADMIN_ADDR"} {
		if !strings.Contains(relay.Stderr(), name) {
			t.Errorf("%s is not named: %s", name, relay.Stderr())
		}
	}
	if strings.Contains(relay.Stderr(), "hunter2") || relay.Stdout() != "" {
		t.Errorf("stderr %q, stdout %q", relay.Stderr(), relay.Stdout())
	}
}

func TestRunFailsWhereItsAddressIsTaken(t *testing.T) {
	t.Parallel()
	taken := relaytest.NewReceiver(t, nil)
	relay := relaytest.Start(t, []string{"DATABASE_URL=postgres://127.0.0.1:1/x", "ADMIN_ADDR=" +
		strings.TrimPrefix(taken.URL, "http://")}, "run")
	if status := relay.Exit(t, 20*time.Second); status != statusFailed || !strings.Contains(relay.Stderr(), "ADMIN_ADDR") {
		t.Errorf("exit status %d, %s", status, relay.Stderr())
	}
}

// One relay, started before its database can be used, sees it become usable step by step.
func TestRunHealsWithoutARestart(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, map[string]string{"wal_level": "replica"})
	db := pgtest.On(t, server)
	receiver := relaytest.NewReceiver(t, nil)
	event := relaytest.AddEvent(t, db, receiver.URL)
	db.Exec(t, "alter table attendees rename to registrations")
	if err := server.Crash(); err != nil {
		t.Fatal(err)
	}
	relay := relaytest.Run(t, db)
	state := relay.AwaitFault(t, ready, "database_unreachable")
	if state.Role != "standby" {
		t.Errorf("%+v", state)
	}
	if status, body := relay.Get(t, "/healthz"); status != http.StatusOK {
		t.Errorf("/healthz: %d %s", status, body)
	}

	restart(t, server)
	relay.AwaitFault(t, ready, "wal_level")
	checkUntouched(t, db)

	db.Exec(t, "alter system set wal_level = 'logical'")
	restart(t, server)
	relay.AwaitFault(t, ready, "source_missing")
	checkUntouched(t, db)

	db.Exec(t, "alter table registrations rename to attendees")
	relay.AwaitRole(t, ready, "leader")
	relaytest.Accept(t, db, event, 1)
	receiver.Await(t, 1, ready)
}

func restart(t *testing.T, server *pgserver.Server) {
	t.Helper()
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestMetricsHaveTheirNames(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	receiver := relaytest.NewReceiver(t, nil)
	event := relaytest.AddEvent(t, db, receiver.URL+"/hooks/hidden?token=hidden")
	relay := relaytest.Run(t, db)
	relay.AwaitRole(t, ready, "leader")
	relaytest.Accept(t, db, event, 2)
	awaitState(t, db, "delivered", 2)

	status, text := relay.Get(t, "/metrics")
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	for _, line := range []string{
		"attendee_relay_replication_lag_bytes ",
		"attendee_relay_replication_lag_seconds 0",
		"attendee_relay_acceptances_total 2",
		`attendee_relay_outbox_messages{state="delivered"} 2`,
		`attendee_relay_outbox_messages{state="pending"} 0`,
		`attendee_relay_outbox_messages{state="dead"} 0`,
		`attendee_relay_outbox_messages{state="skipped"} 0`,
		`attendee_relay_endpoints{state="healthy"} 1`,
		`attendee_relay_endpoints{state="unknown"} 0`,
		`attendee_relay_endpoints{state="failing"} 0`,
		`attendee_relay_endpoints{state="paused"} 0`,
		`attendee_relay_endpoints{state="disabled"} 0`,
		"attendee_relay_oldest_pending_seconds 0",
		`attendee_relay_delivery_attempts_total{outcome="delivered"} 2`,
		"attendee_relay_delivery_duration_seconds_count 2",
		"attendee_relay_commit_to_delivered_seconds_count 2",
		"attendee_relay_leader 1",
		`attendee_relay_faults{code="database_unreachable"} 0`,
	} {
		if !strings.Contains(text, "\n"+line) {
			t.Errorf("there is no %q", line)
		}
	}
	for _, never := range []string{"hidden", "example.org", "Lovelace", "127.0.0.1", db.Name()} {
		if strings.Contains(text, never) {
			t.Errorf("the metrics show %q", never)
		}
	}
}

// delivering runs a relay, and returns it when it has delivered the first message of an event.
func delivering(t *testing.T, db *pgtest.DB, event int64, settings ...string) *relaytest.Relay {
	t.Helper()
	relay := relaytest.Run(t, db, settings...)
	relay.AwaitRole(t, ready, "leader")
	relaytest.Accept(t, db, event, 1)
	awaitState(t, db, "delivered", 1)
	return relay
}

// awaitState waits until that many messages are in a state.
func awaitState(t *testing.T, db *pgtest.DB, state string, n int64) {
	t.Helper()
	pgtest.WaitUntil(t, ready, "messages are "+state, func() (bool, string) {
		got := pgtest.Value[string](t, db,
			"select coalesce(string_agg(state, ' ' order by state), '') from attendee_relay.outbox")
		return int64(strings.Count(got, state)) == n, got
	})
}
