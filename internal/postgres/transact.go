package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// shared marks connections whose session belongs to nobody, because a pooler may be on the way.
const shared = "attendee_relay_shared"

// share marks a new connection as shared.
func share(_ context.Context, conn *pgx.Conn) error {
	conn.PgConn().CustomData()[shared] = true
	return nil
}

// Transact runs a batch in one transaction: in one round trip where the session is ours, in two where a pooler may be
// on the way. There the first begins the transaction and pins its settings. It cannot be part of the batch: pgx asks
// for the types of a batch's statements before it sends any of them, so they would be parsed outside the transaction,
// under what another client of the pooler left (pgx 5.12, QueryExecModeCacheDescribe).
func Transact(ctx context.Context, conn *pgx.Conn, batch *pgx.Batch) error {
	if conn.PgConn().CustomData()[shared] == nil {
		return conn.SendBatch(ctx, batch).Close() // without a BEGIN all are one transaction
	}
	if _, err := conn.PgConn().Exec(ctx, beginSQL).ReadAll(); err != nil {
		rollBack(ctx, conn)
		return statementMode(err)
	}
	batch.Queue("COMMIT")
	err := conn.SendBatch(ctx, batch).Close()
	if err != nil {
		rollBack(ctx, conn)
	}
	return err
}

// statementMode names a pooler that gives each statement another session (PgBouncer 1.18 to 1.24, server.c).
func statementMode(err error) error {
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "08P01" && strings.Contains(refused.Message, "statement pooling mode") {
		return fmt.Errorf("DATABASE_URL leads through a pooler in statement mode, which allows no transactions; set its "+
			"pool_mode to transaction: %w", err)
	}
	return err
}

// rollBack ends a transaction that has failed. A connection that cannot is closed, and the pooler rolls back.
func rollBack(ctx context.Context, conn *pgx.Conn) {
	if conn.IsClosed() || conn.PgConn().TxStatus() == 'I' {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, ConnectTimeout)
	defer cancel()
	if _, err := conn.PgConn().Exec(ctx, "ROLLBACK").ReadAll(); err != nil {
		_ = conn.Close(ctx)
	}
}
