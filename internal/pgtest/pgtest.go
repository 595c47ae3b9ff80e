// Package pgtest gives each test a real Postgres database of its own.
//
// It turns one private server a test binary, started by the first test that needs it, into fresh databases with the
// reference schema, set up for the relay's role as the README says and with analysed catalogs, and promises that none
// of them is left, nor the server, whether the tests pass or fail. Only tests import it; every package whose tests need
// Postgres calls Main from its TestMain.
package pgtest

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"attendee-relay/internal/pgserver"
)

// timeout bounds each step on a database; on a busy machine with the race detector, steps are slow.
const timeout = 60 * time.Second

// shared is the server that all tests of this binary use.
var shared struct {
	once   sync.Once
	server *pgserver.Server
	err    error
}

// Main runs the tests (those of a *testing.M), stops the shared server, and fails when a goroutine is left over. Call
// it from TestMain.
func Main(m interface{ Run() int }, options ...goleak.Option) {
	code := m.Run()
	if err := stopShared(); err != nil {
		fmt.Fprintln(os.Stderr, "stopping the tests' Postgres:", err)
		code = max(code, 1)
	}
	if code == 0 {
		if err := goleak.Find(options...); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// server returns the shared server, which it starts at the first call.
func server(t testing.TB) *pgserver.Server {
	t.Helper()
	shared.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute) // the binaries may have to be downloaded
		defer cancel()
		shared.server, shared.err = pgserver.Start(ctx, pgserver.Options{Fast: true})
		if shared.err == nil {
			shared.err = makeTemplates(ctx, shared.server)
		}
	})
	if shared.err != nil {
		t.Fatalf("starting the tests' Postgres: %v", shared.err)
	}
	return shared.server
}

func stopShared() error {
	if shared.server == nil {
		return nil
	}
	return stop(shared.server)
}

// run executes statements on a connection of their own.
func run(ctx context.Context, url, statements string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.PgConn().Exec(ctx, statements).ReadAll()
	return err
}

// Start starts a server for this test alone, to be crashed, paused or configured, with the reference schema as the
// template of On. It is stopped when the test ends.
func Start(t testing.TB, settings map[string]string) *pgserver.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	s, err := pgserver.Start(ctx, pgserver.Options{Fast: true, Settings: settings})
	if err != nil {
		t.Fatalf("starting a Postgres: %v", err)
	}
	t.Cleanup(func() {
		if err := stop(s); err != nil {
			t.Errorf("stopping a Postgres: %v", err)
		}
	})
	if err := makeTemplates(ctx, s); err != nil {
		t.Fatalf("loading the reference schema: %v", err)
	}
	return s
}
