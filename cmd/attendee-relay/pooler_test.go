package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/pgbouncer"
	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/postgres"
	"attendee-relay/internal/relaytest"
)

// Through a PgBouncer, beside an application's client that leaves its own settings in the session that they share,
// everything is delivered once, also after the pooler was down.
func TestDeliveryThroughAPooler(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"transaction", "session"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			size := map[string]string{"transaction": "2", "session": "20"}[mode]
			pooler := pgbouncer.Start(t, db, mode, "default_pool_size="+size)
			receiver := relaytest.NewReceiver(t, nil)
			event := relaytest.AddEvent(t, db, receiver.URL)
			environ := append(relaytest.Environ(db), "DATABASE_REPLICATION_URL="+db.URL(), "DATABASE_URL="+pooler.URL(t))
			environ = environ[1:] // its DATABASE_URL would count
			check := relaytest.Start(t, environ, "check")
			check.Exit(t, ready)
			if !strings.Contains(check.Stdout(), "lead to the same database") {
				t.Errorf("check says %s%s", check.Stdout(), check.Stderr())
			}
			relay := relaytest.RunWith(t, environ)
			relay.AwaitRole(t, ready, "leader")
			stop := unsettle(t, pooler.URL(t))
			load := relaytest.StartLoad(t, db, relaytest.Seed(t), false, event)
			receiver.Await(t, 100, 4*ready)
			pooler.Stop(t)
			relay.Await(t, 2*ready, "says that its pooler is away", func(s relaytest.State) bool {
				for _, f := range s.Faults {
					if strings.Contains(f.Message, "DATABASE_URL: the server could not be connected to") {
						return s.Status == http.StatusServiceUnavailable
					}
				}
				return false
			})
			pooler.Restart(t)
			received := len(receiver.Webhooks())
			receiver.Await(t, received+100, 4*ready)
			t.Logf("%s mode: %d acceptances", mode, load.Stop(t))
			load.Verify(t, receiver, 4*ready)
			stop()
		})
	}
}

// unsettle runs a client of the application that changes settings of its session again and again and leaves them so. It
// connects again when it is cut off.
func unsettle(t *testing.T, address string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			config, err := pgx.ParseConfig(address)
			if err != nil {
				return
			}
			config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
			conn, err := pgx.ConnectConfig(ctx, config)
			for i := 0; err == nil; i++ {
				_, err = conn.Exec(ctx, fmt.Sprintf(
					"SET search_path = public; SET row_security = on; SET default_transaction_read_only = on; SET IntervalStyle = "+
						"iso_8601; "+
						"SET default_transaction_isolation = serializable; SET enable_indexscan = off; SET statement_timeout = %d; "+
						"SELECT pg_sleep(0.01)", 500+i%2))
			}
			if conn != nil {
				_ = conn.Close(context.Background())
			}
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return func() { cancel(); <-done }
}

// A connection string that leads through a pooler, alone, is not enough: the fault names the variable that is missing.
func TestPoolerAlone(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	for name, settings := range map[string][]string{
		"parameters refused": nil,
		"parameters ignored": {"ignore_startup_parameters=" +
			strings.Join(append(postgres.Pinned(), "replication", "wal_sender_timeout", "attendee_relay.session"), ",")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pooler := pgbouncer.Start(t, db, "transaction", append(settings, "default_pool_size=10")...)
			environ := append(relaytest.Environ(db)[1:], "DATABASE_URL="+pooler.URL(t))
			relay := relaytest.RunWith(t, environ)
			relay.Await(t, ready, "names DATABASE_REPLICATION_URL", func(s relaytest.State) bool {
				return s.Status == http.StatusServiceUnavailable && len(s.Faults) > 0 &&
					strings.Contains(s.Faults[0].Message+s.Faults[0].Fix, "DATABASE_REPLICATION_URL")
			})
			check := relaytest.Start(t, environ, "check")
			check.Exit(t, ready)
			if out := check.Stdout() + check.Stderr(); !strings.Contains(out, "DATABASE_REPLICATION_URL") ||
				strings.Contains(out, pooler.URL(t)) {
				t.Errorf("check says %s", out)
			}
		})
	}
}
