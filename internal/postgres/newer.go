package postgres

import (
	"context"
	"strconv"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"
)

// transactionTimeout is a setting that Postgres has from 17 on. A role's own, if it is short, ends a session before the
// first statement of ours could lift it, and an older server refuses it as a start-up parameter.
const transactionTimeout, timesTransactions = "transaction_timeout", 17

// newer holds the addresses whose server times transactions, as they said when they were last connected to.
var newer sync.Map

// learn remembers which version a new connection's server has. A failed statement does not change that.
func learn(conn *pgconn.PgConn, address string) {
	version := conn.ParameterStatus("server_version")
	if end := strings.IndexFunc(version, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
		version = version[:end] // 17.10, 19beta1
	}
	if major, err := strconv.Atoi(version); err == nil && major >= timesTransactions {
		newer.Store(address, true)
	} else {
		newer.Delete(address)
	}
}

// liftTransactionTimeout sets it at the start, if every server that may answer is known to take it.
func liftTransactionTimeout(config *pgconn.Config) {
	hosts := append([]*pgconn.FallbackConfig{{Host: config.Host, Port: config.Port}}, config.Fallbacks...)
	for _, host := range hosts {
		if _, known := newer.Load(key(host.Host, host.Port)); !known {
			return
		}
	}
	setParam(config.RuntimeParams, transactionTimeout, "0")
}

// twice connects again when the first try was ended by the role's transaction_timeout: by then the server is known.
func twice[T any](ctx context.Context, connect func(context.Context) (T, error)) (T, error) {
	conn, err := connect(ctx)
	if Code(err) == "25P04" && ctx.Err() == nil {
		return connect(ctx)
	}
	return conn, err
}
