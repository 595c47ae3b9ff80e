package pgtest

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"attendee-relay/internal/pgserver"
)

// Standby starts a standby of a server of Start's. It is stopped when the test ends.
func Standby(t testing.TB, primary *pgserver.Server, o pgserver.StandbyOptions) *pgserver.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	s, err := primary.Standby(ctx, o)
	if err != nil {
		t.Fatalf("starting a standby: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Errorf("stopping a standby: %v", err)
		}
	})
	return s
}

// At is the same database on another server, which has it by replication. It goes with its server.
func (db *DB) At(t testing.TB, s *pgserver.Server) *DB {
	t.Helper()
	other := &DB{name: db.name, server: s}
	other.own = other.Pool(t, func(c *pgxpool.Config) {
		c.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return true }
	})
	return other
}
