package pgserver_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"attendee-relay/internal/pgserver"
)

// TestMain gives the tests a temporary directory of their own that the user who runs Postgres for root may enter, and
// fails when a server leaves anything in it. The log files are the download library's, which never removes them.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "pgserver-test-")
	if err == nil {
		err = errors.Join(os.Chmod(dir, 0o755), os.Setenv("TMPDIR", dir))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		entries, _ := os.ReadDir(dir)
		for _, entry := range entries {
			if !strings.HasPrefix(entry.Name(), "embedded_postgres_log") {
				fmt.Fprintln(os.Stderr, "left in the temporary directory:", entry.Name())
				code = 1
			}
		}
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

func TestServerLivesThroughStopCrashAndPause(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	s, err := pgserver.Start(ctx, pgserver.Options{Settings: map[string]string{"application_name": "it's ours"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop(context.Background()) })
	if s.Port() == 5432 {
		t.Error("the server took the well-known port")
	}
	if got := ask(t, s, "show wal_level"); got != "logical" {
		t.Errorf("wal_level = %q", got)
	}
	if got := ask(t, s, "show application_name"); got != "it's ours" {
		t.Errorf("the given setting = %q", got)
	}
	if got := ask(t, s, "show server_encoding"); got != "UTF8" {
		t.Errorf("server_encoding = %q", got)
	}

	if path, err := s.Program("postgres"); err != nil || filepath.Base(path) != "postgres" {
		t.Errorf("the program postgres: %q, %v", path, err)
	}
	if _, err := s.Program("pg_nothing"); err == nil || !strings.Contains(err.Error(), "without pg_nothing") {
		t.Errorf("a program that is not there: %v", err)
	}

	port := s.Port()
	ask(t, s, "create table kept as select 1 as n; select 'made'")
	if err := s.Crash(); err != nil {
		t.Fatal(err)
	}
	if _, err := pgx.Connect(ctx, s.URL("postgres")); err == nil {
		t.Error("a crashed server answers")
	}
	for _, how := range []string{"after a crash", "while running"} {
		if err := s.Restart(ctx); err != nil {
			t.Fatalf("restarting %s: %v", how, err)
		}
		if got := ask(t, s, "select count(*)::text from kept"); got != "1" || s.Port() != port {
			t.Errorf("%s: %s committed rows on port %d, was %d", how, got, s.Port(), port)
		}
	}

	freezes(t, s)

	for range 2 { // the second does nothing
		if err := s.Stop(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(s.DataDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the data directory after Stop: %v", err)
	}
}

// freezes checks that a paused server keeps a connection open without an answer, and answers after Continue.
func freezes(t *testing.T, s *pgserver.Server) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if err := s.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() {
		_, err := conn.Exec(t.Context(), "select 1")
		answered <- err
	}()
	select {
	case err := <-answered:
		t.Errorf("a paused server answered: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	s.Continue()
	if err := <-answered; err != nil {
		t.Errorf("after Continue: %v", err)
	}
}

func TestStartNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	_, err := pgserver.Start(t.Context(), pgserver.Options{Settings: map[string]string{"wal_level": "sideways"}})
	if err == nil || !strings.Contains(err.Error(), `invalid value for parameter "wal_level"`) {
		t.Errorf("the error does not show Postgres's log: %v", err)
	}
}

func ask(t *testing.T, s *pgserver.Server, sql string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	results, err := conn.PgConn().Exec(ctx, sql).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return string(results[len(results)-1].Rows[0][0])
}
