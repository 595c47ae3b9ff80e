package main

import (
	"context"

	"github.com/jackc/pgx/v5"

	"attendee-relay/config"
	"attendee-relay/internal/fault"
	"attendee-relay/outbox"
	"attendee-relay/replication"
)

// firstStart keeps a first start from touching anything until check would pass.
func firstStart(cfg *config.Config) replication.Preflight {
	return func(ctx context.Context, conn *pgx.Conn) error {
		began, err := outbox.Began(ctx, conn)
		if err != nil || began {
			return err
		}
		// As in check, the connection has the role's own search_path, under which the payload query runs.
		own, err := direct(ctx, cfg, "start")
		if err != nil {
			return err
		}
		seen := &inspection{conn: own}
		defer seen.close(ctx)
		err = seen.look(ctx, cfg)
		if failing := fault.Failing(seen.findings); len(failing) > 0 {
			return firstOf(failing)
		}
		return err
	}
}

// firstOf is the first of the findings as a fault, which says how many others check shows.
func firstOf(failing []fault.Finding) *fault.Fault {
	f := failing[0]
	if others := len(failing) - 1; others > 0 {
		return fault.New(f.Code, "%s (check shows this and what else is not met: %d)", f.Message, others).WithFix(f.Fix)
	}
	return fault.New(f.Code, "%s", f.Message).WithFix(f.Fix)
}
