package replication

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/postgres"
)

//go:embed sender_timeout.sql
var senderTimeoutSQL string

// inspectWalsender opens a replication connection: nothing else shows whether role, pg_hba.conf and a pooler on the way
// allow it.
func (i Inspector) inspectWalsender(ctx context.Context, sql *pgx.Conn, found *Inspection) error {
	role := roleName(sql.PgConn())
	if found.fails(fault.SendersExhausted) {
		return nil // it would only say the same
	}
	conn, err := postgres.Replication(ctx, i.URL, "attendee-relay/"+i.Deployment+" check", i.Config.Takeover)
	if err == nil {
		defer closeWalsender(conn)
		// It fails on an ordinary connection: something on the way drops start-up parameters.
		_, err = identify(ctx, conn)
	}
	switch code := postgres.Code(err); {
	case err == nil:
	case code == "42501", code == "28000":
		found.add(fault.Failed(fault.New(fault.Privilege,
			"the role may not open a replication connection: it needs the REPLICATION attribute, and pg_hba.conf must let it "+
				"in").
			WithFix("ALTER ROLE " + role + " REPLICATION")))
		return nil
	case code == "53300":
		if !found.Held {
			found.add(fault.Failed(sendersExhausted(fault.SendersExhausted)))
		}
		return nil
	default:
		found.add(fault.Failed(fault.New(fault.ReplicationRefused,
			"no replication connection can be opened (DATABASE_REPLICATION_URL), as is usual through a pooler: %v",
			postgres.Safe(err)).
			WithFix("set DATABASE_REPLICATION_URL to the server's own address")))
		return nil
	}
	found.add(fault.Passed(fault.Privilege, "the role may open a replication connection"))
	shown, err := senderTimeout(ctx, conn)
	if err != nil {
		return fmt.Errorf("reading wal_sender_timeout over the replication connection: %w", err)
	}
	if shown != i.Config.Takeover {
		found.add(fault.Warning(fault.SenderTimeout, fmt.Sprintf("ALTER ROLE %s SET wal_sender_timeout = %d", role,
			i.Config.Takeover.Milliseconds()),
			"wal_sender_timeout is %v on the replication connection, and REPLICATION_TAKEOVER is %v: something on the way "+
				"drops start-up parameters", shown, i.Config.Takeover))
		return nil
	}
	found.add(fault.Passed(fault.SenderTimeout,
		"the server frees the slot of a relay that is silent for %v (REPLICATION_TAKEOVER)", shown))
	return nil
}

// senderTimeout asks for what holds on the connection itself, not for the server's default.
func senderTimeout(ctx context.Context, conn *pgconn.PgConn) (time.Duration, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, checkTimeout, errors.New("the server did not answer in time"))
	defer cancel()
	results, err := conn.Exec(ctx, senderTimeoutSQL).ReadAll()
	if err != nil {
		return 0, err
	}
	var milliseconds int64
	if len(results) != 1 || len(results[0].Rows) != 1 {
		return 0, errors.New("the answer has no row")
	}
	if _, err := fmt.Sscan(string(results[0].Rows[0][0]), &milliseconds); err != nil {
		return 0, err
	}
	return time.Duration(milliseconds) * time.Millisecond, nil
}
