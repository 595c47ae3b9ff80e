package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

// command runs the binary to its end and returns its exit status and what it printed.
func command(t *testing.T, environ []string, arguments ...string) (status int, stdout, stderr string) {
	t.Helper()
	process := relaytest.Start(t, environ, arguments...)
	status = process.Exit(t, time.Minute)
	return status, process.Stdout(), process.Stderr()
}

// mustAdopt adopts and returns what was printed.
func mustAdopt(t *testing.T, db *pgtest.DB, settings []string, flags ...string) string {
	t.Helper()
	status, stdout, stderr := command(t, append(relaytest.Environ(db), settings...),
		append([]string{"adopt"}, flags...)...)
	if status != 0 {
		t.Fatalf("adopt ended with %d: %s%s", status, stdout, stderr)
	}
	return stdout
}

func awaitFault(t *testing.T, relay *relaytest.Relay, code string) {
	t.Helper()
	pgtest.WaitUntil(t, ready, "the fault "+code+" is shown", func() (bool, string) {
		_, body := relay.Get(t, "/readyz")
		return strings.Contains(body, `"code":"`+code+`"`), body
	})
}

// sources are the keys of the outbox, in order.
func sources(t *testing.T, db *pgtest.DB) []string {
	t.Helper()
	return pgtest.Values[string](t, db, "select source_key from attendee_relay.outbox order by source_key::bigint")
}

func TestAdoptAsksWhatBecomesOfThePending(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	for _, flags := range [][]string{{}, {"--keep-pending", "--discard-pending"}, {"--yes"}} {
		status, _, stderr := command(t, relaytest.Environ(db), append([]string{"adopt"}, flags...)...)
		if status != statusUsage || !strings.Contains(stderr, "--keep-pending") {
			t.Errorf("%q: %d, %s", flags, status, stderr)
		}
	}
	status, _, stderr := command(t, relaytest.Environ(db), "adopt", "--keep-pending", "--yes")
	if status != statusFailed || !strings.Contains(stderr, "no bookkeeping") {
		t.Errorf("%d, %s", status, stderr)
	}
}

// A copy of the database sends nothing until it is adopted; then it sends what was pending, or not, and what was
// accepted in it meanwhile.
func TestCopyIsAdopted(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"--keep-pending", "--discard-pending"} {
		t.Run(flag, func(t *testing.T) {
			t.Parallel()
			var open atomic.Bool
			receiver := relaytest.NewReceiver(t, func(relaytest.Webhook) int {
				if open.Load() {
					return http.StatusOK
				}
				return http.StatusServiceUnavailable
			})
			original := pgtest.New(t)
			event := relaytest.AddEvent(t, original, receiver.URL)
			first := relaytest.Run(t, original, "DELIVERY_RETRY_SCHEDULE=1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s")
			first.AwaitRole(t, ready, "leader")
			relaytest.Accept(t, original, event, 2)
			awaitState(t, original, "pending", 2)
			first.Kill()

			staging := pgtest.New(t, pgtest.CopyOf(original))
			relaytest.Accept(t, staging, event, 1)
			relay := relaytest.Run(t, staging, "DELIVERY_RETRY_SCHEDULE=1s,1s,1s,1s,1s,1s,1s,1s")
			awaitFault(t, relay, "cluster_changed")
			open.Store(true)
			before := len(receiver.Webhooks())
			shown := mustAdopt(t, staging, nil, flag)
			for _, want := range []string{"2 pending", staging.Name(), original.Name(), "Nothing was done"} {
				if !strings.Contains(shown, want) {
					t.Errorf("without --yes it says nothing of %q: %s", want, shown)
				}
			}
			awaitFault(t, relay, "cluster_changed")
			if n := len(receiver.Webhooks()); n != before {
				t.Errorf("the copy sent %d webhooks", n-before)
			}

			mustAdopt(t, staging, nil, flag, "--yes")
			relay.AwaitRole(t, ready, "leader")
			relaytest.Accept(t, staging, event, 1)
			want := map[string]int64{"--keep-pending": 4, "--discard-pending": 2}[flag]
			awaitState(t, staging, "delivered", want)
			n := pgtest.Value[int64](t, staging,
				"select count(*) from attendee_relay.outbox where state = 'dead' and last_error = 'discarded by adopt'")
			if n != 4-want {
				t.Errorf("%d were discarded", n)
			}
			counted := fmt.Sprintf("\nattendee_relay_messages_unsent_total{reason=\"discarded\"} %d\n", 4-want)
			pgtest.WaitUntil(t, ready, "the leader has counted what was discarded", func() (bool, string) {
				_, text := relay.Get(t, "/metrics")
				return strings.Contains(text, counted), "not yet"
			})
			if n := strings.Count(relay.Stderr(), `"reason":"discarded"`); n != int(4-want) {
				t.Errorf("%d lines of the log say what was discarded", n)
			}
			if got := sources(t, staging); len(got) != 4 || len(slices.Compact(got)) != 4 {
				t.Errorf("the outbox has %q", got)
			}
			const gap = "select format('%s +%s -%s', reason, added, removed) from attendee_relay.gap"
			if got := pgtest.Values[string](t, staging, gap); !slices.Equal(got, []string{"adopted +1 -0"}) {
				t.Errorf("the gaps are %q", got)
			}
		})
	}
}

// A leader that has nothing to write finds out at once, and compares.
func TestAdoptUnderAnIdleLeader(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	relay := relaytest.Run(t, db)
	relay.AwaitRole(t, ready, "leader")
	mustAdopt(t, db, nil, "--keep-pending", "--yes")
	pgtest.WaitUntil(t, 10*time.Second, "the gap is closed", func() (bool, string) {
		closed := pgtest.Values[bool](t, db, "select ended_at is not null from attendee_relay.gap")
		return slices.Equal(closed, []bool{true}), fmt.Sprint(closed)
	})
	relay.AwaitRole(t, ready, "leader")
}

// What stands in the way of streaming on, and is ended by adopt while the relay runs.
func TestAdoptEndsTheFault(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, code string
		settings   []string // of the relay that finds the fault
		happens    string
		gap        string
		announced  int64 // of the 2 rows that were accepted while nothing captured
	}{
		{"WAL behind the checkpoint", "lsn_behind", nil, "update attendee_relay.checkpoint set lsn = 'FFFF/0'", "", 2},
		{"another deployment", "cluster_changed", []string{"DEPLOYMENT=blue"}, "select", "adopted +2 -0", 2},
		{"other accepted values", "source_changed", []string{"SOURCE_ACCEPTED=Accepted,VIP"}, "select", "adopted +0 -0", 0},
		{"a lost slot under stop", "slot_missing", []string{"REPLICATION_ON_LOSS=stop"},
			"select pg_drop_replication_slot('SLOT')", "adopted +2 -0", 2},
		{"another type", "source_drift", nil, "alter table attendees alter status type varchar(20)", "adopted +2 -0", 2},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			receiver := relaytest.NewReceiver(t, nil)
			db := pgtest.New(t)
			event := relaytest.AddEvent(t, db, receiver.URL)
			first := delivering(t, db, event)
			first.Kill()
			pgtest.WaitUntil(t, ready, "the slot is free", func() (bool, string) {
				return !pgtest.Value[bool](t, db, "select active from pg_replication_slots where slot_name = $1", db.Name()), ""
			})

			db.Exec(t, strings.ReplaceAll(c.happens, "SLOT", db.Name()))
			relaytest.Accept(t, db, event, 2)
			relay := relaytest.Run(t, db, c.settings...)
			awaitFault(t, relay, c.code)
			mustAdopt(t, db, c.settings, "--keep-pending", "--yes")
			relay.AwaitRole(t, ready, "leader")
			relaytest.Accept(t, db, event, 1)
			awaitState(t, db, "delivered", 2+c.announced)
			if got := sources(t, db); int64(len(slices.Compact(got))) != 2+c.announced {
				t.Errorf("the outbox has %q", got)
			}
			const gap = "select format('%s +%s -%s%s', reason, added, removed, case when announce then '' else ' not " +
				"announced' end) from attendee_relay.gap"
			if got := pgtest.Values[string](t, db, gap); c.gap != "" && !slices.Equal(got, []string{c.gap}) {
				t.Errorf("the gaps are %q", got)
			}
			const ledger = "select count(*)::int from attendee_relay.ledger"
			if n := pgtest.Value[int](t, db, ledger); n != 4 {
				t.Error(fmt.Sprint("the ledger has ", n, " rows"))
			}
			if n := len(receiver.Webhooks()); int64(n) != 2+c.announced {
				t.Errorf("%d webhooks were received", n)
			}
		})
	}
}
