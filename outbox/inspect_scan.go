package outbox

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/postgres"
	"attendee-relay/replication"
)

var (
	//go:embed sql/inspect_scan.sql
	inspectScanSQL string
	//go:embed sql/inspect_columns.sql
	inspectColumnsSQL string
)

// largeTable is from how many bytes on reading a whole table for each batch is worth a warning: its files say that,
// not statistics.
const largeTable = 512 << 10

// scan is a relation that is read whole, with the conditions that an index could have served: its own, and those of
// the joins above.
type scan struct{ schema, relation, alias, own, joins string }

// whole lists the scans without an index condition. above is what the steps above compare with.
func (n *planNode) whole(above string) (scans []scan) {
	conditions := above + " " + n.Join
	if n.readsAll() {
		scans = append(scans, scan{n.Schema, n.Relation, n.Alias, n.Filter, conditions})
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

// compared is a column that a scan's conditions compare, and what the catalog says of it.
type compared struct {
	name, kind string
	// plain: an index on the column would serve the comparison; indexed: there is one.
	plain, indexed bool
}

// wholeScans warns of the watched table, or another large one, read whole for each batch of acceptances.
func (i Inspector) wholeScans(ctx context.Context, conn *pgx.Conn, plan *planNode, source *replication.Source) (
	[]fault.Finding, error) {
	var findings []fault.Finding
	var watched uint32
	if source != nil {
		watched = source.OID
	}
	told := map[string]bool{}
	for _, s := range plan.whole("") {
		var name string
		var matters, partitioned bool
		row := conn.QueryRow(ctx, inspectScanSQL, s.schema, s.relation, watched, largeTable)
		err := row.Scan(&name, &matters, &partitioned)
		if errors.Is(err, pgx.ErrNoRows) || postgres.Unconvertible(err) {
			continue // dropped since, or its name is not UTF-8: no fix could name it
		}
		if err != nil {
			return nil, fmt.Errorf("reading what the payload query scans: %w", err)
		}
		if !matters || told[name] {
			continue
		}
		own, err := s.look(ctx, conn, s.own)
		if err != nil {
			return nil, err
		}
		// An index could serve its own condition: that the planner reads all of it, in the index's order, is a matter
		// of its statistics.
		if slices.ContainsFunc(own, func(c compared) bool { return c.plain && c.indexed }) {
			continue
		}
		all, err := s.look(ctx, conn, s.own+" "+s.joins)
		if err != nil {
			return nil, err
		}
		told[name] = true
		findings = append(findings, fault.Warning(fault.QueryScan, scanFix(name, partitioned, all),
			"the payload query reads all of %s each time: no index serves its condition", name))
	}
	if len(findings) == 0 {
		findings = append(findings, fault.Passed(fault.QueryScan, "the payload query finds its rows by indexes"))
	}
	return findings, nil
}

// look asks the catalog for the columns that conditions compare with a key or with another relation's column.
func (s scan) look(ctx context.Context, conn *pgx.Conn, conditions string) (list []compared, err error) {
	var names, casts []string
	wrapped := map[string]bool{}
	for _, c := range s.operands(conditions) {
		names, casts = append(names, c.column), append(casts, c.cast)
		wrapped[c.column] = wrapped[c.column] || c.wrapped
	}
	if len(names) == 0 {
		return nil, nil
	}
	rows, err := conn.Query(ctx, inspectColumnsSQL, s.schema, s.relation, names, casts)
	if err == nil {
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (c compared, err error) {
			err = row.Scan(&c.name, &c.kind, &c.plain, &c.indexed)
			c.plain = c.plain && !wrapped[c.name]
			return c, err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("reading the columns that the payload query compares: %w", err)
	}
	return list, nil
}

// scanFix says what makes an index serve the scan: a comparison without a cast or a function around the column, an
// index, or both. An index alone helps only where the column itself is compared.
func scanFix(name string, partitioned bool, columns []compared) string {
	index := "CREATE INDEX CONCURRENTLY ON "
	if partitioned {
		index = "CREATE INDEX ON " // Postgres cannot do it concurrently for a partitioned table
	}
	var rewrite, add []string
	for _, c := range columns {
		quoted := pgx.Identifier{c.name}.Sanitize()
		if !c.plain {
			rewrite = append(rewrite, fmt.Sprintf("%s = ANY ($1::%s[])", quoted, c.kind))
		}
		if !c.indexed && (c.plain || len(columns) == 1) {
			add = append(add, index+name+" ("+quoted+")")
		}
	}
	switch {
	case len(rewrite) > 0 && len(add) > 0 && len(columns) == 1:
		return "compare the column itself in the payload query: " + rewrite[0] + ", and " + add[0]
	case len(rewrite) > 0:
		return "compare the column itself in the payload query: " + strings.Join(rewrite, "; ")
	case len(add) > 0:
		return strings.Join(add, "; ")
	default:
		return "restrict what the payload query reads of " + name + " by $1, or by a join outside of a subquery"
	}
}
