package outbox

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/fault"
	"attendee-relay/replication"
)

//go:embed sql/inspect_scan.sql
var inspectScanSQL string

// largeTable is from how many rows on, by the planner's estimate, reading a whole table for each batch is worth a warning.
const largeTable = 10_000

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

// plan asks how Postgres would run the query where every way is worse than an index: what then still reads a whole table has
// none to use. The plan is the one for any keys, as it serves small batches, so none has to be known.
func (q *query) plan(ctx context.Context, conn *pgx.Conn) (*planNode, error) {
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	_, err = tx.Exec(ctx, `SELECT pg_catalog.set_config('plan_cache_mode', 'force_generic_plan', true), pg_catalog.set_config('enable_seqscan', 'off', true),
		pg_catalog.set_config('enable_hashjoin', 'off', true), pg_catalog.set_config('enable_mergejoin', 'off', true)`)
	if err != nil {
		return nil, err
	}
	if _, err := tx.Exec(ctx, q.path); err != nil { // as where it runs
		return nil, err
	}
	var text []byte
	err = tx.QueryRow(ctx, "EXPLAIN (VERBOSE, FORMAT JSON) EXECUTE "+statementName+" ('{}')", pgx.QueryExecModeSimpleProtocol).Scan(&text)
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

// scan is a relation that is read whole, with the conditions that an index could have served.
type scan struct{ schema, relation, alias, conditions string }

// whole lists the scans without an index condition. above is what the steps above compare with.
func (n *planNode) whole(above string) (scans []scan) {
	conditions := above + " " + n.Join
	if n.readsAll() {
		scans = append(scans, scan{n.Schema, n.Relation, n.Alias, strings.TrimSpace(conditions + " " + n.Filter)})
	}
	for i := range n.Plans {
		scans = append(scans, n.Plans[i].whole(conditions)...)
	}
	return scans
}

// readsAll: with sequential scans made dear, Postgres reads a whole table through whichever index it has.
func (n *planNode) readsAll() bool {
	switch n.Type {
	case "Seq Scan":
		return true
	case "Index Scan", "Index Only Scan":
		return n.Index == ""
	case "Bitmap Heap Scan":
		return slices.ContainsFunc(n.Plans, func(p planNode) bool { return p.Type == "Bitmap Index Scan" && p.Index == "" })
	default:
		return false
	}
}

// columns are those of the scanned relation that its conditions name.
func (s scan) columns() (columns []string) {
	quoted := regexp.QuoteMeta(pgx.Identifier{s.alias}.Sanitize())
	named := regexp.MustCompile(`(?:\b` + regexp.QuoteMeta(s.alias) + `|` + quoted + `)\.("(?:[^"]|"")+"|[\pL_][\pL\pN_$]*)`)
	for _, found := range named.FindAllStringSubmatch(s.conditions, -1) {
		columns = append(columns, strings.ReplaceAll(strings.Trim(found[1], `"`), `""`, `"`))
	}
	return columns
}

// wholeScans warns of the watched table, or another large one, read whole for each batch of acceptances.
func (i Inspector) wholeScans(ctx context.Context, conn *pgx.Conn, plan *planNode, source *replication.Source) ([]fault.Finding, error) {
	var findings []fault.Finding
	var watched uint32
	if source != nil {
		watched = source.OID
	}
	told := map[string]bool{}
	for _, s := range plan.whole("") {
		var name string
		var matters, isWatched, partitioned bool
		var unindexed []string
		err := conn.QueryRow(ctx, inspectScanSQL, s.schema, s.relation, watched, largeTable, s.columns()).
			Scan(&name, &matters, &isWatched, &partitioned, &unindexed)
		if err != nil {
			return nil, fmt.Errorf("reading what the payload query scans: %w", err)
		}
		if !matters || told[name] {
			continue
		}
		told[name] = true
		findings = append(findings, fault.Warning(fault.QueryScan, scanFix(name, partitioned, isWatched, unindexed, source),
			"the payload query reads all of %s each time: no index serves its condition", name))
	}
	if len(findings) == 0 {
		findings = append(findings, fault.Passed(fault.QueryScan, "the payload query finds its rows by indexes"))
	}
	return findings, nil
}

// scanFix is the index that is missing; where each column that is compared has one, the comparison itself is in its way.
func scanFix(name string, partitioned, watched bool, unindexed []string, source *replication.Source) string {
	if len(unindexed) == 0 && watched {
		key := source.Key
		return fmt.Sprintf("compare the column itself in the payload query: %s = ANY ($1::%s[])", pgx.Identifier{key.Name}.Sanitize(), key.Type)
	}
	if len(unindexed) == 0 {
		return "compare columns of " + name + " as they are, without a cast or a function around them"
	}
	concurrently := "CONCURRENTLY "
	if partitioned {
		concurrently = "" // Postgres cannot, for a partitioned table
	}
	fixes := make([]string, len(unindexed))
	for i, column := range unindexed {
		fixes[i] = "CREATE INDEX " + concurrently + "ON " + name + " (" + pgx.Identifier{column}.Sanitize() + ")"
	}
	return strings.Join(fixes, "; ")
}
