// Package demo shows the relay at work on a machine that has nothing but Go.
//
// It turns a duration or a number of attendees into a play: a private Postgres with the reference schema and believable
// registrations, a relay handed in by the caller, and a receiver that prints each webhook with the time since its
// commit. Whatever way the play ends, nothing of it stays behind. cmd runs it; the tests take the reference schema from
// here, and the listen command the Receiver.
package demo

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Schema is the reference schema of the public contract, section 8, as statements to run in an empty database.
//
//go:embed schema.sql
var Schema string

//go:embed sample.sql
var sample string

// Load writes the schema and the sample data into an empty database. Webhooks go to paths below receiverURL, one for
// each event; it returns the secrets that sign them.
func Load(ctx context.Context, databaseURL, receiverURL string) (secrets []string, err error) {
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return nil, fmt.Errorf("connecting to load the sample data: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, "select set_config('demo.webhook_url', $1, false)", receiverURL); err != nil {
		return nil, fmt.Errorf("setting the receiver's URL: %w", err)
	}
	if _, err := conn.PgConn().Exec(ctx, Schema+sample).ReadAll(); err != nil {
		return nil, fmt.Errorf("loading the schema and the sample data: %w", err)
	}
	rows, err := conn.Query(ctx, "select webhook_secret from events order by id")
	if err != nil {
		return nil, fmt.Errorf("reading the events' secrets: %w", err)
	}
	if secrets, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return nil, fmt.Errorf("reading the events' secrets: %w", err)
	}
	return secrets, nil
}
