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
	//go:embed sql/inspect_relations.sql
	inspectRelationsSQL string
	//go:embed sql/inspect_mentioned.sql
	inspectMentionedSQL string
)

// Query judges the payload query without running it: its columns, the tables that the role may not read, and whether it
// must read a large table as a whole. source is the watched table; nil if it cannot be watched yet.
func (i Inspector) Query(ctx context.Context, conn *pgx.Conn, source *replication.Source) ([]fault.Finding, error) {
	q, err := newQuery(i.Config)
	if err != nil {
		return nil, err
	}
	findings, err := i.judge(ctx, conn, q, source)
	if postgres.Code(err) == insufficientPrivilege {
		findings, err = append(findings, fault.Failed(fault.New(fault.Privilege,
			"looking at the payload query is not allowed to the role").WithFix(postgres.Grants(ctx, conn, "", err)))), nil
	}
	return q.unasked(findings), err
}

// unasked adds, if the role lacks a right, a line for each requirement that could not be judged without it.
func (q *query) unasked(findings []fault.Finding) []fault.Finding {
	lacking := slices.IndexFunc(findings, func(f fault.Finding) bool {
		return f.Level == fault.Fail && (f.Code == fault.Privilege || f.Code == fault.RowSecurity)
	})
	if lacking < 0 {
		return findings
	}
	denied := &fault.Fault{Message: findings[lacking].Message, Fix: findings[lacking].Fix}
	judged := []fault.Code{fault.QueryInvalid, fault.QueryScan}
	if q.path == operatorsPath {
		judged = append(judged, fault.SearchPath)
	}
	for _, code := range judged {
		if !slices.ContainsFunc(findings, func(f fault.Finding) bool { return f.Code == code }) {
			findings = append(findings, fault.Unasked(code, fault.Warn, denied))
		}
	}
	return findings
}

func (i Inspector) judge(ctx context.Context, conn *pgx.Conn, q *query, source *replication.Source) (
	[]fault.Finding, error) {
	_, err := q.prepare(ctx, conn, statementName)
	if postgres.Code(err) == insufficientPrivilege {
		return q.unreadable(ctx, conn, err)
	}
	if err == nil {
		_ = conn.PgConn().Deallocate(ctx, statementName)
	}
	if err := q.describe(ctx, conn); err != nil {
		var f *fault.Fault
		if errors.As(err, &f) {
			return []fault.Finding{fault.Failed(f)}, nil
		}
		return nil, err
	}
	defer func() { _ = conn.PgConn().Deallocate(context.WithoutCancel(ctx), statementName) }()
	findings := []fault.Finding{fault.Passed(fault.QueryInvalid, "the payload query returns the columns that are needed")}
	plan, err := q.plan(ctx, conn)
	switch {
	case postgres.Code(err) == insufficientPrivilege:
		hidden, err := q.unreadable(ctx, conn, err)
		return append(findings, hidden...), err
	case err != nil && !saysNothing(err):
		return append(findings, fault.Failed(invalid("Postgres cannot plan it: %s", safeMessage(err)))), nil
	case err != nil:
		return findings, fmt.Errorf("planning the payload query: %w", err)
	case plan.changes():
		return append(findings, fault.Failed(invalid("it changes rows, and it runs in a transaction that only reads"))), nil
	}
	findings = append(findings, fault.Passed(fault.Privilege, "the role may read what the payload query reads"))
	scans, err := i.wholeScans(ctx, conn, plan, source)
	findings = append(findings, scans...)
	if err != nil {
		return findings, err
	}
	open, err := q.lookAlikes(ctx, conn)
	return append(findings, open...), err
}

// mentioned names the grants for a query that cannot even be parsed, because the role may not use a schema.
func (q *query) mentioned(ctx context.Context, conn *pgx.Conn, cause error) ([]fault.Finding, error) {
	var grants []string
	err := postgres.Names(ctx, conn, inspectMentionedSQL, []any{q.sql, roleName(conn)}, func(rows pgx.Rows) (err error) {
		grants, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("looking for what the payload query reads: %w", err)
	}
	return []fault.Finding{unreadable(grants, roleName(conn), cause)}, nil
}

// unreadable says which grants the payload query needs, or, where none is known, what Postgres said.
func unreadable(grants []string, role string, cause error) fault.Finding {
	const lacks = "the role may not read everything that the payload query reads: "
	if len(grants) == 0 {
		return fault.Failed(fault.New(fault.Privilege, "%s", lacks+safeMessage(cause)).
			WithFix("grant " + role + " the right to what Postgres names"))
	}
	needed := strings.Join(grants, "; ")
	return fault.Failed(fault.New(fault.Privilege, "%s", lacks+"it needs "+needed).WithFix(needed))
}

// unreadable names the grants for a query that the role may not run, for which Postgres gave the cause.
func (q *query) unreadable(ctx context.Context, conn *pgx.Conn, cause error) (findings []fault.Finding, err error) {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("looking for what the payload query reads: %w", err)
	}
	defer func() { _ = tx.Rollback(ctx) }()
	// Parsing locks every table that is named, until the transaction ends. With row_security off it fails if a policy
	// applies.
	if _, err := tx.Exec(ctx, "SET LOCAL row_security = on"); err != nil {
		return nil, fmt.Errorf("looking for what the payload query reads: %w", err)
	}
	_, err = q.prepare(ctx, conn, "")
	if postgres.Code(err) == insufficientPrivilege {
		_ = tx.Rollback(ctx)
		return q.mentioned(ctx, conn, cause)
	}
	if err != nil {
		return nil, fmt.Errorf("preparing the payload query: %w", err)
	}
	role := roleName(conn)
	var grants, hidden []string
	err = postgres.Names(ctx, conn, inspectRelationsSQL, nil, func(rows pgx.Rows) error {
		var name string
		var readable, policies bool
		_, err := pgx.ForEachRow(rows, []any{&name, &readable, &policies}, func() error {
			if !readable {
				grants = append(grants, "GRANT SELECT ON "+postgres.Legible(name)+" TO "+role)
			}
			if policies {
				hidden = append(hidden, postgres.Legible(name))
			}
			return nil
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("looking for what the payload query reads: %w", err)
	}
	_ = tx.Rollback(ctx) // it holds the locks, and an error in it would end what follows
	if lacking := postgres.Grants(ctx, conn, "", cause); len(grants) == 0 && len(hidden) == 0 &&
		strings.HasPrefix(lacking, "GRANT ") {
		return []fault.Finding{fault.Failed(fault.New(fault.Privilege,
			"the role may not use everything that the payload query uses").WithFix(lacking))}, nil
	}
	if len(grants) == 0 && len(hidden) == 0 {
		return []fault.Finding{fault.Failed(
			invalid("the role may read everything it names, but it needs more (it must only read): %s",
				safeMessage(cause)))}, nil
	}
	if len(grants) > 0 {
		findings = append(findings, unreadable(grants, role, cause))
	}
	if len(hidden) > 0 {
		f := fault.New(fault.RowSecurity, "row level security hides rows from the payload query, in %s",
			strings.Join(hidden, ", "))
		findings = append(findings, fault.Failed(f.WithFix("ALTER ROLE "+role+" BYPASSRLS")))
	}
	return findings, nil
}
