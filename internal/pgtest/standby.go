package pgtest

import (
	"context"
	"testing"

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

// By is the same database, reached at another host:port: by way of a proxy, or on a standby. It goes with db.
func (db *DB) By(t testing.TB, address string) *DB {
	t.Helper()
	other := &DB{name: db.name, server: db.server, address: address}
	other.own = other.OwnerPool(t, alive)
	return other
}
