// Package postgres turns the operator's connection string into connections set up the relay's way.
//
// Every connection names itself in pg_stat_activity and fixes the settings that change how values look as text, because a
// role or database setting (DateStyle, TimeZone) would otherwise make the stream and a query disagree about the same
// value. Direct connections also bound their idle transactions, so that a frozen process cannot hold a lock for ever.
// cmd opens the pools; replication opens its own walsender connection.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"attendee-relay/internal/secret"
)

// ConnectTimeout bounds one attempt to connect, name look-up and authentication included.
const ConnectTimeout = 5 * time.Second

// pingTimeout is how long a pool's connection may take to say that it is alive; it is asked before it is used, when it was
// idle for a second. One after the other may have to be asked before there is one that does.
const pingTimeout = 2 * time.Second

// The limits of a direct session.
const (
	// idleInTransaction is how long a transaction of ours may stand still before the server ends it.
	idleInTransaction = 10 * time.Second
	// statementTimeout ends a statement of ours that nobody waits for any more.
	statementTimeout = time.Minute
	// lockTimeout is how long we wait for a lock, and so hold up those who queue behind us.
	lockTimeout = 2 * time.Second
)

// EndlessSQL lifts transaction_timeout, which Postgres has from 17 on, for a session whose transactions may be long.
const EndlessSQL = "SELECT pg_catalog.set_config('transaction_timeout', '0', false) WHERE pg_catalog.current_setting('transaction_timeout', true) IS NOT NULL"

// Pool opens a pool of at most max connections that may go through a transaction pooler: it sets only what a pooler
// tracks, and its users keep no state in a session. pooled: it does, so no statement is prepared under a name, which the
// next transaction might not find. Where it does not, prepareSession (nil: nothing) is called for each new session. It does not connect yet.
func Pool(url secret.String, name string, limit int, pooled bool, prepareSession func(context.Context, *pgx.Conn) error) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url.Reveal())
	if err != nil {
		return nil, errors.New("the connection string of the database cannot be read: it is neither a postgres:// URL nor a list of key=value words")
	}
	prepare(config.ConnConfig, name)
	config.MaxConns = int32(limit) //nolint:gosec // validated by config, at most thousands
	config.MaxConnIdleTime = time.Minute
	config.PingTimeout = pingTimeout
	if !pooled {
		config.AfterConnect = prepareSession
	}
	if pooled && config.ConnConfig.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement {
		config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, fmt.Errorf("preparing the connection pool: %w", err)
	}
	return pool, nil
}

// Direct opens one connection that must not go through a transaction pooler: locks and snapshots are bound to it.
func Direct(ctx context.Context, url secret.String, name string) (*pgx.Conn, error) {
	config, err := DirectConfig(url, name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, ConnectTimeout, errors.New("the database did not answer in time"))
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, config)
	return conn, Safe(err)
}

// DirectConfig is what Direct connects with.
func DirectConfig(url secret.String, name string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(url.Reveal())
	if err != nil {
		return nil, errors.New("the connection string for replication cannot be read: it is neither a postgres:// URL nor a list of key=value words")
	}
	prepare(config, name)
	config.RuntimeParams["extra_float_digits"] = "1"
	config.RuntimeParams["bytea_output"] = "hex"
	// A policy that would hide rows from us is an error, never a smaller answer.
	config.RuntimeParams["row_security"] = "off"
	// A role's own limits are meant for people and would end our sessions at odd moments.
	config.RuntimeParams["idle_session_timeout"] = "0"
	config.RuntimeParams["idle_in_transaction_session_timeout"] = milliseconds(idleInTransaction)
	config.RuntimeParams["statement_timeout"] = milliseconds(statementTimeout)
	config.RuntimeParams["lock_timeout"] = milliseconds(lockTimeout)
	// Our statements are short; compiling one takes longer than running it, up to seconds.
	config.RuntimeParams["jit"] = "off"
	return config, nil
}

// Replication opens a walsender connection that the server drops when it has been silent for takeover.
func Replication(ctx context.Context, url secret.String, name string, takeover time.Duration) (*pgconn.PgConn, error) {
	config, err := DirectConfig(url, name)
	if err != nil {
		return nil, err
	}
	// While the slot's snapshot is exported the session counts as idle in a transaction, and making the slot waits for
	// every open transaction: neither may be cut short.
	for _, limit := range []string{"idle_in_transaction_session_timeout", "statement_timeout", "lock_timeout"} {
		config.RuntimeParams[limit] = "0"
	}
	config.RuntimeParams["replication"] = "database"
	config.RuntimeParams["wal_sender_timeout"] = milliseconds(takeover)
	ctx, cancel := context.WithTimeoutCause(ctx, ConnectTimeout, errors.New("the database did not answer in time"))
	defer cancel()
	conn, err := pgconn.ConnectConfig(ctx, &config.Config)
	return conn, Safe(err)
}

func prepare(config *pgx.ConnConfig, name string) {
	config.ConnectTimeout = ConnectTimeout
	config.DialFunc = dialer().DialContext
	config.RuntimeParams["application_name"] = name
	config.RuntimeParams["client_encoding"] = "UTF8" // the body is UTF-8, whatever the database is
	config.RuntimeParams["DateStyle"] = "ISO, MDY"
	config.RuntimeParams["TimeZone"] = "UTC"
	config.RuntimeParams["IntervalStyle"] = "postgres"
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
