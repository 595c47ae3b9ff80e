// Package postgres turns the operator's connection string into connections set up the relay's way.
//
// Every session names itself in pg_stat_activity and pins the settings that its statements count on, whatever the role,
// the database or the connection string asks for: a role's DateStyle would make the stream and a query disagree about
// the same value, and with a foreign search_path somebody else's function runs as us. Idle transactions are bounded, so
// that a frozen process holds no lock for ever.
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

// cached is how many statements a session keeps prepared or described; we have fewer.
const cached = 512

// pingTimeout is how long a pool's connection may take to answer a ping, which it gets before it is used if it was idle
// for a second. Several may have to be asked before one answers.
const pingTimeout = 2 * time.Second

// session is how a session is prepared.
type session struct {
	// pin changes the start-up parameters.
	pin func(map[string]string)
	// ours: nobody else uses it, so it may keep state.
	ours bool
	mode pgx.QueryExecMode
}

var (
	own         = session{pinAtStart, true, pgx.QueryExecModeCacheStatement}
	ownForQuery = session{pinAtStartButPath, true, pgx.QueryExecModeCacheStatement}
	foreign     = session{pinTracked, false, pgx.QueryExecModeCacheDescribe}
)

// Connections is a pool whose errors name the variable that says where it leads.
type Connections struct {
	*pgxpool.Pool
	conninfo secret.String
}

// Acquire is pgxpool's, with an error that can be logged.
func (c *Connections) Acquire(ctx context.Context) (*pgxpool.Conn, error) {
	conn, err := twice(ctx, c.Pool.Acquire)
	return conn, describe(err, c.conninfo, false)
}

// Pool opens a pool of at most limit connections. pooled: it may lead through a pooler in transaction mode, where a
// session belongs to nobody; what runs on it goes through Transact, no statement is prepared under a name, and only
// start-up parameters are sent that a pooler takes. Where it does not, a session is pinned as that of Direct, and
// prepareSession (nil: nothing) is called for each new one. The connection string is read again for each connection;
// none is opened yet.
func Pool(conninfo secret.String, name string, limit int, pooled bool,
	prepareSession func(context.Context, *pgx.Conn) error) (*Connections, error) {
	if _, err := read(conninfo); err != nil {
		return nil, err
	}
	config, err := pgxpool.ParseConfig("host=localhost user=nobody sslmode=disable") // replaced before each connection
	if err != nil {
		return nil, fmt.Errorf("preparing the connection pool: %w", err)
	}
	kind := own
	config.AfterConnect = prepareSession
	if pooled {
		kind, config.AfterConnect = foreign, share
	}
	config.BeforeConnect = func(ctx context.Context, given *pgx.ConnConfig) error {
		fresh, _, err := prepare(ctx, conninfo, name, kind)
		if err == nil {
			*given = *fresh
		}
		return err
	}
	config.MaxConns = int32(limit) //nolint:gosec // validated by config, at most thousands
	config.MaxConnIdleTime = time.Minute
	config.PingTimeout = pingTimeout
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, fmt.Errorf("preparing the connection pool: %w", err)
	}
	return &Connections{pool, conninfo}, nil
}

// Direct opens one connection that must not go through a transaction pooler: locks and snapshots are bound to it.
func Direct(ctx context.Context, conninfo secret.String, name string) (*pgx.Conn, error) {
	return direct(ctx, conninfo, name, own)
}

// DirectForQuery opens a connection as Direct does, on which SET LOCAL search_path TO DEFAULT gives the search_path of
// the role, the database or the connection string: the operator's query runs under it.
func DirectForQuery(ctx context.Context, conninfo secret.String, name string) (*pgx.Conn, error) {
	return direct(ctx, conninfo, name, ownForQuery)
}

func direct(ctx context.Context, conninfo secret.String, name string, kind session) (*pgx.Conn, error) {
	conn, err := twice(ctx, func(ctx context.Context) (*pgx.Conn, error) {
		config, limit, err := prepare(ctx, conninfo, name, kind)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeoutCause(ctx, limit, errors.New("the database did not answer in time"))
		defer cancel()
		return pgx.ConnectConfig(ctx, config)
	})
	return conn, describe(err, conninfo, true)
}

// Replication opens a walsender connection that the server drops when it has been silent for takeover.
func Replication(ctx context.Context, conninfo secret.String, name string,
	takeover time.Duration) (*pgconn.PgConn, error) {
	conn, err := twice(ctx, func(ctx context.Context) (*pgconn.PgConn, error) {
		config, limit, err := prepare(ctx, conninfo, name, own)
		if err != nil {
			return nil, err
		}
		// While the slot's snapshot is exported the session counts as idle in a transaction, and making the slot waits for
		// every open transaction: neither may be cut short.
		for _, unlimited := range []string{"idle_in_transaction_session_timeout", "statement_timeout", "lock_timeout"} {
			config.RuntimeParams[unlimited] = "0"
		}
		config.RuntimeParams["replication"] = "database"
		setParam(config.RuntimeParams, "wal_sender_timeout", milliseconds(takeover))
		ctx, cancel := context.WithTimeoutCause(ctx, limit, errors.New("the database did not answer in time"))
		defer cancel()
		return pgconn.ConnectConfig(ctx, &config.Config)
	})
	return conn, describe(err, conninfo, true)
}

// prepare reads the connection string and looks its hosts up. It also returns how long connecting may take.
func prepare(ctx context.Context, conninfo secret.String, name string,
	kind session) (*pgx.ConnConfig, time.Duration, error) {
	to, err := read(conninfo)
	if err != nil {
		return nil, 0, err
	}
	config := to.config
	setParam(config.RuntimeParams, "application_name", name)
	kind.pin(config.RuntimeParams)
	// A connection string's own choice would change how statements are sent.
	config.DefaultQueryExecMode = kind.mode
	config.StatementCacheCapacity, config.DescriptionCacheCapacity = cached, cached
	tried := &dialled{}
	config.DialFunc = tried.dial
	config.AfterConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		tried.served(conn)
		if !kind.ours {
			return nil
		}
		return pinTheRest(ctx, conn)
	}
	limit, err := locate(ctx, &config.Config, to.addresses)
	if kind.ours {
		liftTransactionTimeout(&config.Config)
	}
	return config, limit, err
}

func pinTheRest(ctx context.Context, conn *pgconn.PgConn) error {
	results, err := conn.Exec(ctx, pinTheRestSQL).ReadAll()
	if Code(err) == "42501" {
		return errUnpinnable
	}
	if err != nil {
		return fmt.Errorf("pinning the session's settings: %w", err)
	}
	if len(results) != 1 || len(results[0].Rows) != 1 || results[0].Rows[0][0] == nil {
		return errDropped
	}
	return nil
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
