package replication

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// PublicationSQL makes the publication where it is missing, for somebody who owns the watched table.
func (c Config) PublicationSQL() string {
	schema, table, _ := strings.Cut(c.Table, ".")
	return "DO $attendee_relay$ BEGIN " + createPublicationSQL(c, &Source{Schema: schema, Table: table}) +
		"; EXCEPTION WHEN duplicate_object THEN NULL; END $attendee_relay$;"
}

// SlotSQL makes the slot where it is missing.
func (c Config) SlotSQL() string {
	name := quoteLiteral(c.Slot)
	return "SELECT pg_catalog.pg_create_logical_replication_slot(" + name + ", 'pgoutput')\n" +
		" WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_replication_slots WHERE slot_name = " + name + ");"
}

// CountAccepted counts the rows that a baseline would find.
func CountAccepted(ctx context.Context, conn *pgx.Conn, s *Source) (int64, error) {
	var n int64
	err := conn.QueryRow(ctx, "SELECT pg_catalog.count(*) FROM "+s.From()+" WHERE "+s.AcceptedSQL("$1"),
		s.Accepted).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("counting the accepted rows of %s: %w", s.Name(), err)
	}
	return n, nil
}
