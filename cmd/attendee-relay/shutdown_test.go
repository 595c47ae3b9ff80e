package main

import (
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"attendee-relay/internal/pgserver"
	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

func TestStopFinishesWhatIsInFlight(t *testing.T) {
	t.Parallel()
	const n = 5
	db := pgtest.New(t)
	release := make(chan struct{})
	receiver := relaytest.NewReceiver(t, func(relaytest.Webhook) int {
		<-release
		return http.StatusOK
	})
	event := relaytest.AddEvent(t, db, receiver.URL)
	relay := relaytest.Run(t, db, "DELIVERY_TIMEOUT=30s")
	relay.AwaitRole(t, ready, "leader")
	relaytest.Accept(t, db, event, n)
	receiver.Await(t, n, ready)

	relay.Signal(t, syscall.SIGTERM)
	pgtest.WaitUntil(t, ready, "the relay has let go of the slot", func() (bool, string) {
		active := pgtest.Value[bool](t, db, "select active from pg_replication_slots where slot_name = $1", db.Name())
		return !active, "it holds it"
	})
	relaytest.Accept(t, db, event, 1) // for the next one
	close(release)
	if status := relay.Exit(t, 10*time.Second); status != statusDone {
		t.Errorf("exit status %d", status)
	}
	awaitState(t, db, "delivered", n)
	attempts := pgtest.Value[int64](t, db, "select count(*) from attendee_relay.attempt where status = 200")
	if attempts != n {
		t.Errorf("%d attempts are recorded", attempts)
	}

	relaytest.Run(t, db)
	awaitState(t, db, "delivered", n+1)
	if got := len(receiver.Webhooks()); got != n+1 {
		t.Errorf("%d requests for %d messages", got, n+1)
	}
}

// However stuck everything around it is, a relay that is told to stop does so within SHUTDOWN_TIMEOUT.
func TestStopEndsInTime(t *testing.T) {
	t.Parallel()
	const shutdown = 3 * time.Second
	for name, stuck := range map[string]func(t *testing.T, server *pgserver.Server, db *pgtest.DB){
		"while receivers hang": func(*testing.T, *pgserver.Server, *pgtest.DB) {},
		"without Postgres": func(t *testing.T, server *pgserver.Server, _ *pgtest.DB) {
			if err := server.Crash(); err != nil {
				t.Fatal(err)
			}
		},
		"with a frozen Postgres": func(t *testing.T, server *pgserver.Server, _ *pgtest.DB) {
			if err := server.Pause(t.Context()); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(server.Continue)
		},
		"while commits wait for a standby": func(t *testing.T, _ *pgserver.Server, db *pgtest.DB) {
			db.Exec(t, "alter system set synchronous_standby_names = 'missing'")
			db.Exec(t, "select pg_reload_conf()")
			awaitWaiters(t, db, "SyncRep", func() {
				db.Exec(t, `begin; set local synchronous_commit = local;
					insert into attendees (event_id, name, surname, status) values (1, 'Ada', 'Lovelace', 'Accepted'); commit`)
			})
			t.Cleanup(func() {
				db.Exec(t, "alter system reset synchronous_standby_names")
				db.Exec(t, "select pg_reload_conf()")
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := pgtest.Start(t, nil)
			db := pgtest.On(t, server)
			hang := make(chan struct{})
			receiver := relaytest.NewReceiver(t, func(relaytest.Webhook) int {
				<-hang
				return http.StatusOK
			})
			t.Cleanup(func() { close(hang) })
			event := relaytest.AddEvent(t, db, receiver.URL)
			relay := relaytest.Run(t, db, "SHUTDOWN_TIMEOUT="+shutdown.String(), "DELIVERY_TIMEOUT=30s")
			relay.AwaitRole(t, ready, "leader")
			relaytest.Accept(t, db, event, 20)
			receiver.Await(t, 8, ready)

			stuck(t, server, db)
			relay.Signal(t, syscall.SIGTERM)
			told := time.Now()
			status := relay.Exit(t, 10*shutdown)
			took := time.Since(told)
			t.Logf("ended %v after SIGTERM", took.Round(10*time.Millisecond))
			if status != statusDone || took > shutdown+time.Second { // for a process to begin and end on a busy machine
				t.Errorf("exit status %d after %v", status, took)
			}
		})
	}
}

// awaitWaiters does something again and again until a session waits for an event.
func awaitWaiters(t *testing.T, db *pgtest.DB, event string, do func()) {
	t.Helper()
	pgtest.WaitUntil(t, ready, "a session waits for "+event, func() (bool, string) {
		do()
		waiting := pgtest.Values[string](t, db,
			"select coalesce(wait_event, '') from pg_stat_activity where datname = current_database()")
		return slices.Contains(waiting, event), strings.Join(waiting, " ")
	})
}

// A walsender waits, when Postgres stops, for a client that is there and does not confirm: the relay must not be one.
func TestPostgresStopsUnderTheRelay(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, nil)
	db := pgtest.On(t, server)
	receiver := relaytest.NewReceiver(t, nil)
	event := relaytest.AddEvent(t, db, receiver.URL)
	relay := relaytest.Run(t, db)
	relay.AwaitRole(t, ready, "leader")
	load := relaytest.StartLoad(t, db, relaytest.Seed(t), true, event)
	for range 3 {
		receiver.Await(t, len(receiver.Webhooks())+50, ready)
		told := time.Now()
		restart(t, server)
		took := time.Since(told)
		t.Logf("Postgres was stopped and started again in %v", took.Round(10*time.Millisecond))
		if took > 5*time.Second { // after 10 s it would have been ended as in a crash
			t.Errorf("Postgres waited for the relay: %v", took)
		}
	}
	accepted := load.Stop(t)
	t.Logf("%d acceptances, %d requests repeated", accepted, load.Verify(t, receiver, ready))
}
