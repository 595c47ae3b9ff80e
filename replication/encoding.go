package replication

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"attendee-relay/internal/fault"
)

// streamAsStored has the stream carry texts as the database keeps them. Converted, one byte that has no counterpart
// in UTF-8, in any column of any row, would end the stream for ever: the row stays in the WAL.
func streamAsStored(ctx context.Context, conn *pgconn.PgConn) error {
	encoding := conn.ParameterStatus("server_encoding")
	if encoding == conn.ParameterStatus("client_encoding") {
		return nil
	}
	if _, err := conn.Exec(ctx, "SET client_encoding TO "+quoteLiteral(encoding)).ReadAll(); err != nil {
		return fmt.Errorf("asking for the stream in the database's own encoding: %w", err)
	}
	return nil
}

// EncodingUnsupported returns the fault when err says that the database cannot be read as UTF-8, and else nil.
// Postgres has no conversion for MULE_INTERNAL and names it in every language (PostgreSQL 14-18,
// check_client_encoding).
func EncodingUnsupported(err error) *fault.Fault {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || refused.Code != "0A000" || !strings.Contains(refused.Message, "MULE_INTERNAL") {
		return nil
	}
	return fault.New(fault.EncodingUnsupported,
		"the database's encoding is MULE_INTERNAL, which Postgres cannot convert to UTF-8: no body can be made "+
			"of its contents").
		WithFix("CREATE DATABASE ... TEMPLATE template0 ENCODING 'UTF8'; -- then move the application's data there")
}
