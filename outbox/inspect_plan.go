package outbox

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/postgres"
)

// planNode is one step of a plan as EXPLAIN writes it.
type planNode struct {
	Type     string     `json:"Node Type"`
	Schema   string     `json:"Schema"`
	Relation string     `json:"Relation Name"`
	Alias    string     `json:"Alias"`
	Index    string     `json:"Index Cond"`
	Filter   string     `json:"Filter"`
	Join     string     `json:"Join Filter"`
	Plans    []planNode `json:"Plans"`
}

// plan asks how Postgres would run the query if everything else cost more than an index: a table that is still read as
// a whole has no usable index. The plan is the one for any keys, as it serves small batches, so no keys have to be
// known.
func (q *query) plan(ctx context.Context, conn *pgx.Conn) (*planNode, error) {
	found, err := q.explain(ctx, conn, "UTF8")
	if postgres.Unconvertible(err) {
		// The plan shows every column of the tables: one has a name that is not UTF-8. SQL_ASCII returns names as they are
		// stored.
		found, err = q.explain(ctx, conn, "SQL_ASCII")
	}
	return found, err
}

func (q *query) explain(ctx context.Context, conn *pgx.Conn, encoding string) (*planNode, error) {
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	_, err = tx.Exec(ctx, `SELECT pg_catalog.set_config('plan_cache_mode', 'force_generic_plan', true),
		pg_catalog.set_config('enable_seqscan', 'off', true),
		pg_catalog.set_config('enable_hashjoin', 'off', true), pg_catalog.set_config('enable_mergejoin', 'off', true)`)
	if err != nil {
		return nil, err
	}
	if _, err := tx.Exec(ctx, q.path); err != nil { // as where it runs
		return nil, err
	}
	if _, err := tx.Exec(ctx, "SET LOCAL client_encoding = "+encoding); err != nil {
		return nil, err
	}
	var text []byte
	err = tx.QueryRow(ctx, "EXPLAIN (VERBOSE, FORMAT JSON) EXECUTE "+statementName+" ('{}')",
		pgx.QueryExecModeExec).Scan(&text)
	if err != nil {
		return nil, err
	}
	var plans []struct{ Plan planNode }
	if err := json.Unmarshal(text, &plans); err != nil || len(plans) != 1 {
		return nil, fmt.Errorf("reading the plan of the payload query: %w", err)
	}
	return &plans[0].Plan, nil
}

func (n *planNode) changes() bool {
	for i := range n.Plans {
		if n.Plans[i].changes() {
			return true
		}
	}
	return n.Type == "ModifyTable"
}
