package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

// Under load, with failures and retries, a relay never has more than DATABASE_MAX_CONNS sessions and one walsender,
// from its start on.
func TestConnectionsStayWithinTheirLimit(t *testing.T) {
	t.Parallel()
	const limit = 6 // the least that is allowed
	db := pgtest.New(t)
	receiver := relaytest.NewReceiver(t, func(w relaytest.Webhook) int {
		time.Sleep(time.Duration(w.At.UnixNano() % int64(20*time.Millisecond))) // so that claims and settlements overlap
		return http.StatusNoContent
	})
	event := relaytest.AddEvent(t, db, receiver.URL)
	counted := startCounting(t, db)
	relay := relaytest.Run(t, db, fmt.Sprint("DATABASE_MAX_CONNS=", limit), "DELIVERY_CONCURRENCY=64")
	relay.AwaitRole(t, ready, "leader")
	load := relaytest.StartLoad(t, db, relaytest.Seed(t), false, event)
	receiver.Await(t, 400, 4*ready) // one connection has to do for claims and outcomes
	accepted := load.Stop(t)
	load.Verify(t, receiver, 4*ready)

	most, walsenders, names, samples := counted()
	t.Logf("%d acceptances; at most %d sessions and %d walsenders in %d samples: %s", accepted, most, walsenders, samples,
		names)
	if most > limit || walsenders != 1 {
		t.Errorf("%d sessions and %d walsenders: %s", most, walsenders, names)
	}
	if most < limit-2 || samples < 50 { // one is for keys that fail only
		t.Errorf("only %d sessions were seen in %d samples", most, samples)
	}
}

// startCounting counts the relays' sessions again and again until the returned function is called. That function
// returns the largest count and the names of those sessions.
func startCounting(t *testing.T, db *pgtest.DB) func() (most, walsenders int, names string, samples int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), db.OwnerURL()) // so that this session is not one of the role's
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var most, walsenders, samples int
	var names string
	var failed error
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			time.Sleep(time.Millisecond) // the relay has to run, too
			var n, senders int
			var now string
			failed = conn.QueryRow(context.Background(), `select count(*) filter (where backend_type <> 'walsender'),
				count(*) filter (where backend_type = 'walsender'),
				coalesce(string_agg(substr(application_name, 21), ', ' order by application_name), '')
				from pg_stat_activity where datname = current_database()
				and application_name like 'attendee-relay/%'`).Scan(&n, &senders, &now)
			if failed != nil {
				return
			}
			samples++
			walsenders = max(walsenders, senders)
			if n > most {
				most, names = n, now
			}
		}
	}()
	end := func() {
		stop()
		<-done
		_ = conn.Close(context.Background())
	}
	t.Cleanup(end)
	return func() (int, int, string, int) {
		end()
		if failed != nil {
			t.Fatalf("counting the sessions: %v", failed)
		}
		return most, walsenders, strings.TrimSpace(names), samples
	}
}
