package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"attendee-relay/internal/pgserver"
	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

// rotated is a role for one test with the rights of the README's, and the file from which the relay reads its password.
type rotated struct {
	db         *pgtest.DB
	role, file string
}

func newRotated(t *testing.T, db *pgtest.DB) *rotated {
	t.Helper()
	r := &rotated{db: db, role: db.Name(), file: filepath.Join(t.TempDir(), "url")}
	db.Exec(t, "create role "+r.role+` login replication password 'hunter1';
		alter schema attendee_relay owner to `+r.role+"; grant usage on schema public to "+r.role+
		"; grant select on all tables in schema public to "+r.role)
	r.write(t, "hunter1")
	return r
}

// write puts a password into the file as a mounted secret changes: a new file takes the place of the old one.
func (r *rotated) write(t *testing.T, password string) {
	t.Helper()
	next := r.file + ".next"
	if err := os.WriteFile(next, []byte(r.db.As(t, r.role, password)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, r.file); err != nil {
		t.Fatal(err)
	}
}

// refusals counts how often the server has refused a wrong password.
func refusals(t *testing.T, server *pgserver.Server) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(filepath.Dir(server.DataDir()), "log"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(text), "password authentication failed")
}

// endSessions ends every session of the role.
func (r *rotated) endSessions(t *testing.T) {
	t.Helper()
	r.db.Exec(t, "select pg_terminate_backend(pid) from pg_stat_activity where usename = $1", r.role)
}

// The password is changed in the database and in DATABASE_URL_FILE, in either order, and the old sessions are ended:
// the relay continues with the new one and shows a fault meanwhile, and nothing is lost or sent twice.
func TestARelayOutlivesTheRotationOfItsPassword(t *testing.T) {
	t.Parallel()
	for name, fileFirst := range map[string]bool{"the file first": true, "the database first": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := pgtest.Start(t, nil) // a role belongs to the whole server
			db := pgtest.On(t, server)
			r := newRotated(t, db)
			receiver := relaytest.NewReceiver(t, nil)
			event := relaytest.AddEvent(t, db, receiver.URL)
			environ := append(relaytest.Environ(db)[1:], "DATABASE_URL_FILE="+r.file)
			relay := relaytest.RunWith(t, environ)
			relay.AwaitRole(t, ready, "leader")
			relaytest.Accept(t, db, event, 1)
			awaitState(t, db, "delivered", 1)

			change := func() { db.Exec(t, "alter role "+r.role+" password 'hunter2'") }
			if fileFirst {
				r.write(t, "hunter2")
				change()
				r.endSessions(t)
			} else {
				change()
				r.endSessions(t)
				relay.Await(t, ready, "says that the password is wrong", func(s relaytest.State) bool {
					return s.Codes() == "database_unreachable" && strings.Contains(s.Faults[0].Message, "the password is wrong")
				})
				r.write(t, "hunter2")
			}
			relaytest.Accept(t, db, event, 1)
			awaitState(t, db, "delivered", 2)
			relay.AwaitRole(t, ready, "leader")

			before := refusals(t, server)
			if (before > 0) == fileFirst {
				t.Errorf("the old password was tried %d times", before)
			}
			r.endSessions(t) // every connection is one with the new password from now on
			relaytest.Accept(t, db, event, 1)
			awaitState(t, db, "delivered", 3)
			if after := refusals(t, server); after != before {
				t.Errorf("the old password was tried %d times more after the new one had worked", after-before)
			}
			if got := len(receiver.Webhooks()); got != 3 {
				t.Errorf("%d requests for 3 messages", got)
			}
			if text := relay.Stderr(); strings.Contains(text, "hunter") {
				t.Error("the log shows the password")
			}
		})
	}
}
