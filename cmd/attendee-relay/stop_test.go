package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

// stopped is how long a stage that makes no progress may take until it has a fault: 10 s, the time-out of the call
// under way, and time for a busy machine.
const stopped = 40 * time.Second

// failing waits until a relay is not ready and shows a fault of this code with this text, and returns its message.
func failing(t *testing.T, relay *relaytest.Relay, code, words string) (message string) {
	t.Helper()
	relay.Await(t, stopped, "shows "+code, func(s relaytest.State) bool {
		for _, f := range s.Faults {
			if f.Code == code && strings.Contains(f.Message, words) {
				message = f.Message
				return s.Status == http.StatusServiceUnavailable
			}
		}
		return false
	})
	return message
}

// namesHolder expects a fault to name a table and the session that pgtest's Lock has lock it.
func namesHolder(t *testing.T, message, table string, holder uint32) {
	t.Helper()
	want := fmt.Sprintf("%s is locked by process %d of the server (application_name %q, role %q)", table, holder,
		"the application", "postgres")
	if !strings.Contains(message, want) {
		t.Errorf("%q does not say %q", message, want)
	}
}

// A session locks a table of ours: the stages that need the table show a fault that names the holder, and continue when
// it is free.
func TestALockedTableIsAFault(t *testing.T) {
	t.Parallel()
	for table, code := range map[string]string{"pending": "delivery_failing", "ledger": "capture_failing",
		"acceptance": "rendering_failing"} {
		t.Run(table, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			receiver := relaytest.NewReceiver(t, nil)
			event := relaytest.AddEvent(t, db, receiver.URL)
			settings := []string{}
			if table == "acceptance" {
				settings = append(settings, "OUTBOX_SETTLE=3s") // everything waits for the resolver
			}
			relay := delivering(t, db, event, settings...)
			if table == "acceptance" { // it is recorded, and only then nobody can read it
				relaytest.Accept(t, db, event, 1)
				pgtest.WaitUntil(t, ready, "an acceptance waits", func() (bool, string) {
					return pgtest.Value[bool](t, db, "select count(*) > 0 from attendee_relay.acceptance where state = 'waiting'"),
						"none"
				})
			}
			holder, release := db.Lock(t, "attendee_relay."+table)
			if table != "acceptance" {
				relaytest.Accept(t, db, event, 1)
			}
			message := failing(t, relay, code, fmt.Sprint("process ", holder))
			release()
			namesHolder(t, message, "attendee_relay."+table, holder)
			relay.AwaitRole(t, ready, "leader")
			awaitState(t, db, "delivered", 2)
			relay.Await(t, ready, "has no fault", func(s relaytest.State) bool { return len(s.Faults) == 0 })
		})
	}
}

// The pooler goes down while the direct connections stay.
func TestAPoolerThatGoesDownIsAFault(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	receiver := relaytest.NewReceiver(t, nil)
	event := relaytest.AddEvent(t, db, receiver.URL)
	pooler := relaytest.Proxy(t, db)
	relay := delivering(t, db, event, relaytest.Through(t, db, pooler), "DATABASE_REPLICATION_URL="+db.URL())
	pooler.Refuse()
	relaytest.Accept(t, db, event, 1)
	if message := failing(t, relay, "delivery_failing", ""); !strings.Contains(message, "could not be connected to") {
		t.Errorf("%q", message)
	}
	pooler.Resume()
	relay.AwaitRole(t, ready, "leader")
	awaitState(t, db, "delivered", 2)
}

// quietRelay runs a relay whose stderr is a pipe.
func quietRelay(t *testing.T, db *pgtest.DB) (command *exec.Cmd, admin string, read *os.File) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	admin = listener.Addr().String()
	_ = listener.Close()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	command = exec.CommandContext(t.Context(), relaytest.Binary(t), "run")
	command.Env = append(relaytest.Environ(db), "ADMIN_ADDR="+admin)
	command.Stderr = write
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	_ = write.Close()
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		_ = read.Close()
	})
	return command, admin, read
}

// A log that nobody reads, or whose reader has gone, stops neither deliveries nor the end of the process.
func TestALogThatNobodyReadsStopsNothing(t *testing.T) {
	t.Parallel()
	for name, gone := range map[string]bool{"a pipe that is full": false, "a pipe that is closed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const n = 600
			db := pgtest.New(t)
			receiver := relaytest.NewReceiver(t, nil)
			event := relaytest.AddEvent(t, db, receiver.URL)
			command, admin, read := quietRelay(t, db)
			if gone {
				_ = read.Close()
			}
			pgtest.WaitUntil(t, ready, "the relay is ready", func() (bool, string) {
				answer, err := http.Get("http://" + admin + "/readyz")
				if err != nil {
					return false, err.Error()
				}
				defer answer.Body.Close()
				text, _ := io.ReadAll(answer.Body)
				return answer.StatusCode == http.StatusOK, string(text)
			})
			db.Exec(t, `insert into attendees (event_id, name, surname, email, status)
				select $1, 'Ada', 'Lovelace', 'ada@example.org', 'Accepted' from generate_series(1, $2)`, event, n)
			awaitState(t, db, "delivered", n)
			if got := len(receiver.Webhooks()); got != n {
				t.Errorf("%d requests for %d messages", got, n)
			}
			if err := command.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- command.Wait() }()
			select {
			case err := <-ended:
				if err != nil {
					t.Errorf("it ended with %v", err)
				}
			case <-time.After(20 * time.Second):
				t.Error("SIGTERM did not end it")
			}
		})
	}
}
