package soak

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"attendee-relay/demo"
	"attendee-relay/internal/pgserver"
	"attendee-relay/internal/tcptest"
)

const (
	database = "registration"
	owner    = "app"
	password = "of-the-soak"
)

// tables record the application's acceptances and cancellations, each in the same transaction.
const tables = `create schema soak;
	create table soak.accepted (attendee bigint not null, at timestamptz not null default clock_timestamp(),
		number bigint generated always as identity primary key);
	create table soak.cancelled (attendee bigint primary key)`

// site is a server as an operator finds it, with an application's database.
type site struct {
	server *pgserver.Server
	admin  *pgxpool.Pool // the DBA, in the application's database
	app    *pgxpool.Pool // the owner of the tables
	listen string        // ADMIN_ADDR
}

// install makes the application's database and runs the README's statements.
func install(t *testing.T, log *journal, r *receivers) *site {
	t.Helper()
	s := &site{server: startServer(t), listen: tcptest.FreeAddr(t)}
	root := connect(t, s.server.URL("postgres"))
	run(t, root, "create role "+owner+" login password '"+password+"'", "create database "+database+" owner "+owner)
	s.admin, s.app = connect(t, s.server.URL(database)), connect(t, s.url(t, owner))
	run(t, s.app, demo.Schema, tables)
	r.addEvents(t, s.app)

	steps := readmeSteps(t)
	log.line("README, step 1, as the superuser: %s", run(t, s.admin, steps[0]...))
	if err := s.server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	log.line("README, step 2, as the superuser: %s", run(t, s.admin, steps[1]...))
	log.line("README, step 2, as the owner: %s", run(t, s.app, steps[2]...))
	return s
}

// startServer starts an empty server with Postgres's own settings for durability.
func startServer(t *testing.T) *pgserver.Server {
	t.Helper()
	server, err := pgserver.Start(t.Context(), pgserver.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return server
}

// url is the address of the database for a role.
func (s *site) url(t *testing.T, role string) string {
	t.Helper()
	u, err := url.Parse(s.server.URL(database))
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, password)
	return u.String()
}

// readmeSteps returns the blocks of SQL under the README's first two steps, with a password filled in.
func readmeSteps(t *testing.T) (blocks [][]string) {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, steps, _ := strings.Cut(string(text), "\n### 1.")
	steps, _, _ = strings.Cut(steps, "\n### 3.")
	for _, found := range regexp.MustCompile("(?s)```sql\n(.*?)```").FindAllStringSubmatch(steps, -1) {
		var statements []string
		for _, s := range regexp.MustCompile(`;[^;\n]*\n`).Split(found[1], -1) {
			if strings.TrimSpace(s) != "" {
				statements = append(statements, strings.Replace(s, "choose one", password, 1))
			}
		}
		blocks = append(blocks, statements)
	}
	if len(blocks) != 3 {
		t.Fatalf("the README's first two steps have %d blocks of SQL, not 3: settings, superuser, owner", len(blocks))
	}
	return blocks
}

// run runs statements one by one and returns how many there were.
func run(t *testing.T, pool *pgxpool.Pool, statements ...string) string {
	t.Helper()
	for _, s := range statements {
		if _, err := pool.Exec(t.Context(), s, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatalf("running %q: %v", s, err)
		}
	}
	return fmt.Sprintf("%d statements", len(statements))
}

// connect opens a pool that lives through restarts of the server.
func connect(t *testing.T, address string) *pgxpool.Pool {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(address)
	if err != nil {
		t.Fatal(err)
	}
	cfg.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return true }
	cfg.ConnConfig.ConnectTimeout = 5 * time.Second
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// value reads one value; ok is false while the server is away.
func value[T any](s *site, sql string, args ...any) (v T, ok bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err := s.admin.QueryRow(ctx, sql, args...).Scan(&v)
	return v, err == nil
}
