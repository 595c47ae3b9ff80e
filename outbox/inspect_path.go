package outbox

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/postgres"
)

//go:embed sql/inspect_path.sql
var inspectPathSQL string

// currentSchemasSQL names the schemas in which the session looks names up.
const currentSchemasSQL = "SELECT pg_catalog.current_schemas(false)::pg_catalog.text[]"

// lookAlikes warns if somebody else may put a function or an operator into a schema in which the operator's query looks
// names up: it would run as the relay's role. The embedded query names its schemas.
func (q *query) lookAlikes(ctx context.Context, conn *pgx.Conn) ([]fault.Finding, error) {
	if q.path != operatorsPath {
		return nil, nil
	}
	schemas, err := q.schemas(ctx, conn)
	if err != nil {
		return nil, fmt.Errorf("reading the role's search_path: %w", err)
	}
	var who, fixes []string
	err = postgres.Names(ctx, conn, inspectPathSQL, []any{schemas}, func(rows pgx.Rows) error {
		var schema, grantee string
		_, err := pgx.ForEachRow(rows, []any{&schema, &grantee}, func() error {
			who = append(who, postgres.Legible(grantee+" in "+schema))
			fixes = append(fixes, postgres.Legible("REVOKE CREATE ON SCHEMA "+schema+" FROM "+grantee))
			return nil
		})
		return err
	})
	switch {
	case postgres.Code(err) == "42501":
		return []fault.Finding{fault.Failed(fault.New(fault.Privilege,
			"the role may not read who may create something in its search_path").
			WithFix(postgres.Grants(ctx, conn, inspectPathSQL, err)))}, nil
	case err != nil:
		return nil, fmt.Errorf("reading who may create something in the role's search_path: %w", err)
	case len(who) == 0:
		return []fault.Finding{fault.Passed(fault.SearchPath,
			"nobody else may create functions where the payload query looks names up")}, nil
	}
	return []fault.Finding{fault.Warning(fault.SearchPath, strings.Join(fixes, "; "),
		"others may create functions and operators where the payload query looks names up (%s): a look-alike would run as "+
			"the relay's role",
		strings.Join(who, ", "))}, nil
}

// schemas lists those of the operator's search_path that there are.
func (q *query) schemas(ctx context.Context, conn *pgx.Conn) (schemas []string, err error) {
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	if _, err := tx.Exec(ctx, q.path); err != nil {
		return nil, err
	}
	return schemas, tx.QueryRow(ctx, currentSchemasSQL).Scan(&schemas)
}
