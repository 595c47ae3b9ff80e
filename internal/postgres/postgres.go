// Package postgres turns the operator's connection string into connections set up the relay's way.
//
// Every session names itself in pg_stat_activity and pins the settings that its statements count on, whatever the role, the database
// or the connection string asks for: a role's DateStyle would make the stream and a query disagree about the same value, and with a
// foreign search_path somebody else's function runs as us. Idle transactions are bounded, so that a frozen process holds no lock for
// ever.
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

// Pool opens a pool of at most limit connections. pooled: it may lead through a pooler in transaction mode, where a session belongs
// to nobody; what runs on it goes through Transact, no statement is prepared under a name, and only start-up parameters are sent that
// a pooler takes. Where it does not, a session is pinned as that of Direct, and prepareSession (nil: nothing) is called for each new
// one. It does not connect yet.
func Pool(url secret.String, name string, limit int, pooled bool, prepareSession func(context.Context, *pgx.Conn) error) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url.Reveal())
	if err != nil {
		return nil, errors.New("the connection string of the database cannot be read: it is neither a postgres:// URL nor a list of key=value words")
	}
	if pooled {
		prepare(config.ConnConfig, name)
		pinTracked(config.ConnConfig.RuntimeParams)
		config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
		config.AfterConnect = share
	} else {
		if config.ConnConfig, err = directConfig(url, name, pinAtStart); err != nil {
			return nil, err
		}
		config.AfterConnect = prepareSession
	}
	config.MaxConns = int32(limit) //nolint:gosec // validated by config, at most thousands
	config.MaxConnIdleTime = time.Minute
	config.PingTimeout = pingTimeout
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, fmt.Errorf("preparing the connection pool: %w", err)
	}
	return pool, nil
}

// Direct opens one connection that must not go through a transaction pooler: locks and snapshots are bound to it.
func Direct(ctx context.Context, url secret.String, name string) (*pgx.Conn, error) {
	return direct(ctx, url, name, pinAtStart)
}

// DirectForQuery opens a connection as Direct does, on which SET LOCAL search_path TO DEFAULT gives the search_path of the role, the
// database or the connection string: the operator's query runs under it.
func DirectForQuery(ctx context.Context, url secret.String, name string) (*pgx.Conn, error) {
	return direct(ctx, url, name, pinAtStartButPath)
}

func direct(ctx context.Context, url secret.String, name string, pin func(map[string]string)) (*pgx.Conn, error) {
	config, err := directConfig(url, name, pin)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, ConnectTimeout, errors.New("the database did not answer in time"))
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, config)
	return conn, Safe(err)
}

func directConfig(url secret.String, name string, pin func(map[string]string)) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(url.Reveal())
	if err != nil {
		return nil, errors.New("the connection string for replication cannot be read: it is neither a postgres:// URL nor a list of key=value words")
	}
	prepare(config, name)
	pin(config.RuntimeParams)
	config.AfterConnect = pinTheRest
	return config, nil
}

// Repin sets again what RESET ALL took from a session of Direct.
func Repin(ctx context.Context, conn *pgx.Conn) error { return pinTheRest(ctx, conn.PgConn()) }

func pinTheRest(ctx context.Context, conn *pgconn.PgConn) error {
	if _, err := conn.Exec(ctx, pinTheRestSQL).ReadAll(); err != nil {
		return fmt.Errorf("pinning the session's settings: %w", err)
	}
	return nil
}

// Replication opens a walsender connection that the server drops when it has been silent for takeover.
func Replication(ctx context.Context, url secret.String, name string, takeover time.Duration) (*pgconn.PgConn, error) {
	config, err := directConfig(url, name, pinAtStart)
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
	setParam(config.RuntimeParams, "application_name", name)
	// A mode that a connection string asks for would change how statements are sent.
	config.DefaultQueryExecMode = pgx.QueryExecModeCacheStatement
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
