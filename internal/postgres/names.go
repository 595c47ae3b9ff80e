package postgres

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
)

// Names runs a query whose answer has names from the catalog that will be shown, and collects its rows. A name may have
// bytes that Postgres cannot convert to UTF-8: SQL_ASCII holds any, and roles and databases are named in the encoding
// of whichever database their author used. Then the rows are read again as they are stored; Legible makes their texts
// printable.
func Names(ctx context.Context, conn *pgx.Conn, sql string, args []any, take func(pgx.Rows) error) error {
	ask := func() error {
		rows, err := conn.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		return take(rows)
	}
	if conn.PgConn().ParameterStatus("server_encoding") == "UTF8" { // nothing is converted
		return ask()
	}
	err := apart(ctx, conn, ask)
	if !Unconvertible(err) {
		return err
	}
	return apart(ctx, conn, func() error { return asStored(ctx, conn, sql, args, take) })
}

// asStored has the arguments converted as usual, and the rows not: the encoding is changed between the two.
func asStored(ctx context.Context, conn *pgx.Conn, sql string, args []any, take func(pgx.Rows) error) error {
	if _, err := conn.Exec(ctx, "DECLARE attendee_relay_names NO SCROLL CURSOR FOR "+sql, args...); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "SET LOCAL client_encoding = SQL_ASCII"); err != nil { // which converts nothing
		return err
	}
	rows, err := conn.Query(ctx, "FETCH ALL FROM attendee_relay_names", pgx.QueryExecModeDescribeExec)
	if err != nil {
		return err
	}
	return take(rows)
}

// apart runs do in a transaction, or in a part of the open one, and undoes its settings.
func apart(ctx context.Context, conn *pgx.Conn, do func() error) error {
	begin, undo := "BEGIN", "ROLLBACK"
	if conn.PgConn().TxStatus() != 'I' {
		begin, undo = "SAVEPOINT attendee_relay_names", "ROLLBACK TO attendee_relay_names"
	}
	if _, err := conn.Exec(ctx, begin); err != nil {
		return err
	}
	err := do()
	if _, undone := conn.Exec(ctx, undo); err == nil {
		err = undone
	}
	return err
}

// Unconvertible reports whether err says that a text cannot be converted between UTF-8 and the database's encoding.
func Unconvertible(err error) bool { return Code(err) == "22P05" || Code(err) == "22021" }

// Legible returns a name as it can be shown: bytes that are not UTF-8 are written as \x81.
func Legible(name string) string {
	if utf8.ValidString(name) {
		return name
	}
	var b strings.Builder
	for i, r := range name {
		if r == utf8.RuneError && !strings.HasPrefix(name[i:], "\uFFFD") {
			fmt.Fprintf(&b, `\x%02x`, name[i])
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
