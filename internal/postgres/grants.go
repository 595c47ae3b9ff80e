package postgres

import (
	"context"
	_ "embed"
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

var (
	//go:embed grants.sql
	grantsSQL string
	//go:embed grants_named.sql
	grantsNamedSQL string
)

// word is what may be the name of a relation or a function in a statement, or in what Postgres says of one.
var word = regexp.MustCompile(`[a-z_][a-z0-9_]+`)

// Grants returns the statements that give the role of conn the rights that it lacks for running sql, which was refused
// with denied (SQLSTATE 42501). It works for statements that read pg_catalog and our schema. A view of pg_catalog may
// call a function that the statement does not name; Postgres names that in its message.
func Grants(ctx context.Context, conn *pgx.Conn, sql string, denied error) string {
	const unknown = "grant the role what the server's log says it lacks"
	var refused *pgconn.PgError
	if errors.As(denied, &refused) {
		sql += " " + refused.Message
	}
	names := word.FindAllString(strings.ToLower(sql), -1)
	slices.Sort(names)
	role := pgx.Identifier{conn.PgConn().ParameterStatus("session_authorization")}.Sanitize()
	var grants []string
	err := Names(ctx, conn, grantsSQL, []any{slices.Compact(names), role}, func(rows pgx.Rows) (err error) {
		grants, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if err == nil && len(grants) > 0 {
		return Legible(strings.Join(grants, "; "))
	}
	if refused != nil && err != nil {
		if grants := grantsOnNamed(ctx, conn, refused, role); grants != "" {
			return grants
		}
		// the catalogs that would say it are closed as well
		if name := catalogName.FindString(refused.Message); name != "" {
			return "GRANT SELECT ON pg_catalog." + name + " TO " + role
		}
	}
	return unknown
}

// grantsOnNamed returns the grants on everything that Postgres's message names, "" if it names nothing: for a role that
// lacks the rights that Grants itself needs.
func grantsOnNamed(ctx context.Context, conn *pgx.Conn, refused *pgconn.PgError, role string) string {
	rows, err := conn.Query(ctx, grantsNamedSQL, word.FindAllString(refused.Message, -1))
	if err != nil {
		return ""
	}
	var schema, name string
	var arguments []string
	var grants []string
	_, err = pgx.ForEachRow(rows, []any{&schema, &name, &arguments}, func() error {
		what := pgx.Identifier{schema, name}.Sanitize()
		if arguments == nil {
			grants = append(grants, "GRANT SELECT ON "+what+" TO "+role)
		} else {
			grants = append(grants, "GRANT EXECUTE ON FUNCTION "+what+"("+strings.Join(arguments, ", ")+") TO "+role)
		}
		return nil
	})
	if err != nil {
		return ""
	}
	return strings.Join(grants, "; ")
}

// catalogName is the name of one of Postgres's own catalogs.
var catalogName = regexp.MustCompile(`\bpg_[a-z_]+`)
