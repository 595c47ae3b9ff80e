package pgtest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"attendee-relay/internal/pgserver"
)

// DB is a database that belongs to one test.
type DB struct {
	name    string
	server  *pgserver.Server
	address string        // where it is reached; empty: at the server's
	own     *pgxpool.Pool // for Exec, Value and Values
}

// Option changes how a database is made.
type Option func(*options)

type options struct{ template, encoding string }

// Empty asks for a database without the reference schema.
func Empty() Option { return func(o *options) { o.template = emptyTemplate } }

// Unprepared asks for a database in which nothing has been made or granted for the relay yet.
func Unprepared() Option { return func(o *options) { o.template = unpreparedTemplate } }

// Encoding asks for an empty database in another encoding than UTF-8, by Postgres's name for it.
func Encoding(name string) Option {
	return func(o *options) { o.template, o.encoding = "template0", name }
}

// CopyOf makes the database a copy of another test's database on the same server, as it is now. No session may be
// connected to that one.
func CopyOf(other *DB) Option {
	return func(o *options) {
		other.own.Reset()
		o.template = other.name
	}
}

var databases atomic.Int64

// New returns a fresh database on the shared server, with the reference schema and no rows. When the test ends, its
// clients are cut off, its replication slots dropped, and it is gone. It may be called from parallel tests.
func New(t testing.TB, opts ...Option) *DB {
	t.Helper()
	return On(t, server(t), opts...)
}

// On is New on a server of Start's.
func On(t testing.TB, s *pgserver.Server, opts ...Option) *DB {
	t.Helper()
	o := options{template: template}
	for _, opt := range opts {
		opt(&o)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	db := &DB{name: fmt.Sprintf("test_%d_%d", os.Getpid(), databases.Add(1)), server: s}
	if err := db.create(ctx, o); err != nil {
		t.Fatalf("creating the test's database: %v", err)
	}
	t.Cleanup(func() { db.drop(t) })
	db.own = pool(t, db.OwnerURL(), alive)
	return db
}

// create makes the database by copying the files of another. Through the write-ahead log, the default since Postgres 15
// and before it unknown, it takes three times as long (CREATE DATABASE, Postgres 15).
func (db *DB) create(ctx context.Context, o options) error {
	pool, err := admin(db.server)
	if err != nil {
		return err
	}
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	statement := "create database " + db.name + " template " + o.template
	if o.encoding != "" {
		statement += " encoding '" + o.encoding + "' lc_collate 'C' lc_ctype 'C'"
	}
	if !strings.HasPrefix(conn.Conn().PgConn().ParameterStatus("server_version"), "14") {
		statement += " strategy file_copy"
	}
	if _, err = conn.Exec(ctx, statement); err == nil && o.encoding != "" { // no template of ours has this encoding
		err = run(ctx, db.server.URL(db.name), grantsSQL)
	}
	return err
}

// alive asks for connections that work: those lost to a crash that the test caused are not the test's concern.
func alive(c *pgxpool.Config) {
	c.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return true }
}

// Name returns the database's name: letters, digits and underscores, unique in the server. Tests name their replication
// slots after it, since slots belong to the whole server.
func (db *DB) Name() string { return db.name }

// URL returns the address of the database for the relay's role, which is not a superuser and owns only its own schema.
func (db *DB) URL() string { return db.as(url.UserPassword(Role, rolePassword)) }

// OwnerURL returns the address of the database for the superuser, who owns the application's tables: what Exec, Value
// and Values use. A test runs the relay by it only if it is about a superuser.
func (db *DB) OwnerURL() string {
	u, _ := url.Parse(db.server.URL(db.name)) // the server has just made it
	return db.as(u.User)
}

// Words returns the address of URL as key=value words.
func (db *DB) Words(t testing.TB) string {
	t.Helper()
	config, err := pgx.ParseConfig(db.URL())
	if err != nil {
		t.Fatalf("reading the test's database URL: %v", err)
	}
	return fmt.Sprintf("host=%s port=%d user=%s password='%s' dbname=%s sslmode=disable", config.Host, config.Port,
		config.User, config.Password, config.Database)
}

// As returns the address of the database for another role, whose password is given.
func (db *DB) As(t testing.TB, role, password string) string {
	t.Helper()
	return db.as(url.UserPassword(role, password))
}

func (db *DB) as(user *url.Userinfo) string {
	u, _ := url.Parse(db.server.URL(db.name))
	u.User = user
	if db.address != "" {
		u.Host = db.address
	}
	return u.String()
}

// Pool returns a new pool of connections of the relay's role, closed when the test ends.
func (db *DB) Pool(t testing.TB, configure ...func(*pgxpool.Config)) *pgxpool.Pool {
	t.Helper()
	return pool(t, db.URL(), configure...)
}

// OwnerPool is Pool for the superuser, who owns the application's tables.
func (db *DB) OwnerPool(t testing.TB, configure ...func(*pgxpool.Config)) *pgxpool.Pool {
	t.Helper()
	return pool(t, db.OwnerURL(), configure...)
}

func pool(t testing.TB, url string, configure ...func(*pgxpool.Config)) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatalf("reading the test's database URL: %v", err)
	}
	for _, change := range configure {
		change(config)
	}
	opened, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		t.Fatalf("opening a pool: %v", err)
	}
	t.Cleanup(opened.Close)
	return opened
}

// Exec runs a statement, or several without arguments, and fails the test on an error.
func (db *DB) Exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if len(args) == 0 {
		args = []any{pgx.QueryExecModeSimpleProtocol} // allows several statements
	}
	if _, err := db.own.Exec(ctx, sql, args...); err != nil {
		t.Fatalf("running %q: %v", sql, err)
	}
}

// Reported waits until the server's statistics have all that was done by Exec, Value and Values. A session reports at
// its end, and otherwise up to ten seconds later (PostgreSQL 15, pgstat_report_stat).
func (db *DB) Reported(t testing.TB) {
	t.Helper()
	var sessions []uint32
	for _, conn := range db.own.AcquireAllIdle(t.Context()) {
		sessions = append(sessions, conn.Conn().PgConn().PID())
		conn.Release()
	}
	db.own.Reset()
	WaitUntil(t, timeout, "the sessions have reported", func() (bool, string) {
		const gone = "select not exists (select from pg_stat_activity where pid = any ($1::bigint[]))"
		return Value[bool](t, db, gone, sessions), fmt.Sprint(sessions)
	})
}

// Lock has a session of the application, with the process ID holder, lock a table until release is called.
func (db *DB) Lock(t testing.TB, table string) (holder uint32, release func()) {
	t.Helper()
	tx, err := db.OwnerPool(t).Begin(t.Context())
	if err == nil {
		_, err = tx.Exec(t.Context(), "set application_name = 'the application'")
	}
	if err == nil {
		_, err = tx.Exec(t.Context(), "lock table "+table+" in access exclusive mode")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) }) // or the pool waits for it
	return tx.Conn().PgConn().PID(), func() {
		if err := tx.Rollback(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// AwaitFreeSlot waits until no session reads a replication slot.
func (db *DB) AwaitFreeSlot(t testing.TB, slot string) {
	t.Helper()
	WaitUntil(t, timeout, "the slot is free", func() (bool, string) {
		return Value[int](t, db, "select count(*)::int from pg_replication_slots where slot_name = $1 and active", slot) == 0,
			"it is read"
	})
}

// Connect opens a session as psql does: nothing is prepared. It is closed when the test ends.
func Connect(t testing.TB, address string) *pgx.Conn {
	t.Helper()
	config, err := pgx.ParseConfig(address)
	if err != nil {
		t.Fatalf("reading the address of a session: %v", err)
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatalf("opening a session: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// Value returns the one value that the query gives.
func Value[T any](t testing.TB, db *DB, sql string, args ...any) T {
	t.Helper()
	values := Values[T](t, db, sql, args...)
	if len(values) != 1 {
		t.Fatalf("%q gave %d rows instead of one", sql, len(values))
	}
	return values[0]
}

// Values returns the first column of all rows that the query gives.
func Values[T any](t testing.TB, db *DB, sql string, args ...any) []T {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	rows, err := db.own.Query(ctx, sql, args...)
	if err != nil {
		t.Fatalf("running %q: %v", sql, err)
	}
	values, err := pgx.CollectRows(rows, pgx.RowTo[T])
	if err != nil {
		t.Fatalf("running %q: %v", sql, err)
	}
	return values
}
