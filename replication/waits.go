package replication

import (
	"context"
	_ "embed"
	"fmt"

	"attendee-relay/internal/postgres"
	"attendee-relay/internal/secret"
)

//go:embed waits.sql
var waitsSQL string

// Waits say what the session that writes the bookkeeping is doing.
type Waits struct {
	// Standby: a commit waits for a synchronous standby.
	Standby bool
	// Working: a statement is at work, and waits for nobody's lock.
	Working bool
}

// ReadWaits asks over a connection of its own.
func ReadWaits(ctx context.Context, url secret.String, deployment string) (w Waits, err error) {
	conn, err := postgres.Direct(ctx, url, sessionName(deployment, "setup"))
	if err != nil {
		return w, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	err = conn.QueryRow(ctx, waitsSQL, sessionName(deployment, "writer")).Scan(&w.Standby, &w.Working)
	if err != nil {
		return w, fmt.Errorf("reading what the bookkeeping's session waits for: %w", err)
	}
	return w, nil
}
