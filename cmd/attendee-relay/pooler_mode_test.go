package main

import (
	"net/http"
	"strings"
	"testing"

	"attendee-relay/internal/pgbouncer"
	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

// A pooler in statement mode allows no transactions: check and run's fault name the setting to change. A first start
// waits for that. Later capture goes on meanwhile, and what was accepted is delivered when the mode is right again.
func TestPoolerInStatementMode(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	receiver := relaytest.NewReceiver(t, nil)
	event := relaytest.AddEvent(t, db, receiver.URL)
	const size = "default_pool_size=10"
	pooler := pgbouncer.Start(t, db, "statement", size)
	mode := func(mode string) {
		t.Helper()
		pooler.Stop(t)
		pooler.Configure(t, mode, size)
		pooler.Restart(t)
	}
	environ := append(relaytest.Environ(db)[1:], "DATABASE_REPLICATION_URL="+db.URL(), "DATABASE_URL="+pooler.URL(t))
	check := relaytest.Start(t, environ, "check")
	if check.Exit(t, ready) != statusFailed || !strings.Contains(check.Stdout(), "in statement mode") {
		t.Errorf("check says %s%s", check.Stdout(), check.Stderr())
	}
	relay := relaytest.RunWith(t, environ)
	named := func() {
		t.Helper()
		relay.Await(t, 2*ready, "names statement mode", func(s relaytest.State) bool {
			return s.Status == http.StatusServiceUnavailable && len(s.Faults) == 1 &&
				strings.Contains(s.Faults[0].Message, "in statement mode") &&
				strings.Contains(s.Faults[0].Message, "set its pool_mode to transaction")
		})
	}
	named()
	mode("transaction")
	relay.AwaitRole(t, 2*ready, "leader")
	mode("statement")
	relaytest.Accept(t, db, event, 3)
	named()
	awaitState(t, db, "pending", 3)
	mode("transaction")
	awaitState(t, db, "delivered", 3)
	relay.AwaitRole(t, 2*ready, "leader")
}

// Everything is delivered whatever a pooler resets between its clients, also where it does so in transaction mode.
func TestPoolersThatReset(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string][]string{
		"nothing":                  {"server_reset_query="},
		"all, in each transaction": {"server_reset_query=DISCARD ALL", "server_reset_query_always=1"},
		"settings":                 {"server_reset_query=RESET ALL", "server_reset_query_always=1"},
		"prepared statements":      {"server_reset_query=DEALLOCATE ALL", "server_reset_query_always=1"},
		"broken sessions, quickly": {"server_check_delay=0", "server_lifetime=1", "server_idle_timeout=1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			receiver := relaytest.NewReceiver(t, nil)
			event := relaytest.AddEvent(t, db, receiver.URL)
			pooler := pgbouncer.Start(t, db, "transaction", append(settings, "default_pool_size=2")...)
			environ := append(relaytest.Environ(db)[1:], "DATABASE_REPLICATION_URL="+db.URL(), "DATABASE_URL="+pooler.URL(t))
			relay := relaytest.RunWith(t, environ)
			relay.AwaitRole(t, ready, "leader")
			stop := unsettle(t, pooler.URL(t))
			defer stop()
			load := relaytest.StartLoad(t, db, relaytest.Seed(t), false, event)
			receiver.Await(t, 200, 2*ready)
			pooler.Stop(t)
			pooler.Restart(t)
			receiver.Await(t, len(receiver.Webhooks())+100, 2*ready)
			t.Logf("%d acceptances", load.Stop(t))
			load.Verify(t, receiver, 2*ready)
			if state := relay.State(t); state.Codes() != "" {
				t.Errorf("faults: %+v", state)
			}
		})
	}
}
