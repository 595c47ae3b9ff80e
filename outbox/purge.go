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

var (
	//go:embed sql/purge_read.sql
	purgeReadSQL string
	//go:embed sql/purge_dependents.sql
	purgeDependentsSQL string
)

// PurgeSQL removes the bookkeeping, for somebody else to run: it does nothing where there is none.
const PurgeSQL = "DROP SCHEMA IF EXISTS attendee_relay CASCADE;"

// Purge is what would be lost with the relay's own schema.
type Purge struct {
	// Exists: there is a schema. Deployment is whose; "": nobody's yet.
	Exists     bool
	Deployment string
	// Pending messages and Waiting acceptances would never be sent.
	Pending, Waiting int64
	// Dependents are others' objects that depend on it.
	Dependents []string
}

// PlanPurge reads what would be lost, and changes nothing.
func PlanPurge(ctx context.Context, conn *pgx.Conn) (*Purge, error) {
	p := &Purge{}
	var err error
	if p.Exists, err = schemaExists(ctx, conn); err != nil || !p.Exists {
		return p, err
	}
	err = conn.QueryRow(ctx, purgeReadSQL).Scan(&p.Deployment, &p.Pending, &p.Waiting)
	if err != nil && !noOutbox(err) {
		return nil, fmt.Errorf("counting what was not sent yet: %w", err)
	}
	rows, err := conn.Query(ctx, purgeDependentsSQL)
	if err != nil {
		return nil, fmt.Errorf("looking for objects that depend on the schema attendee_relay: %w", err)
	}
	if p.Dependents, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return nil, fmt.Errorf("looking for objects that depend on the schema attendee_relay: %w", err)
	}
	return p, nil
}

// Check refuses to remove another deployment's bookkeeping, and what others have built on it.
func (p *Purge) Check(deployment string) error {
	switch {
	case p.Deployment != "" && p.Deployment != deployment:
		return fault.New(fault.ClusterChanged,
			"the schema attendee_relay holds the bookkeeping of deployment %q, and DEPLOYMENT is %q", p.Deployment, deployment).
			WithFix("set DEPLOYMENT to " + p.Deployment + ", if it is meant to go")
	case len(p.Dependents) > 0:
		return fmt.Errorf("objects of others depend on the schema attendee_relay, which would drop them: %s; drop them first",
			strings.Join(p.Dependents, ", "))
	}
	return nil
}

// Remove drops the schema.
func (p *Purge) Remove(ctx context.Context, conn *pgx.Conn) error {
	if !p.Exists {
		return nil
	}
	_, err := conn.Exec(ctx, PurgeSQL)
	if code := postgres.Code(err); code == "55P03" {
		return fmt.Errorf("dropping the schema attendee_relay: somebody uses it, see pg_stat_activity: %w", err)
	}
	if err != nil {
		return lacking(err, "dropping the schema attendee_relay", "ALTER SCHEMA attendee_relay OWNER TO <the relay's role>")
	}
	return nil
}
