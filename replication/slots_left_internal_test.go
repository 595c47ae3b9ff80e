package replication

import (
	"errors"
	"strings"
	"testing"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/pgtest"
)

// Postgres does not start with fewer slots than there are, so what is printed must raise the setting, whatever its
// value.
func TestTheFixForExhaustedSlotsRaisesTheSetting(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, map[string]string{"max_replication_slots": "24", "wal_level": "replica"})
	db := pgtest.On(t, server, pgtest.Empty())
	db.Exec(t, "select pg_create_physical_replication_slot('other_' || i) from generate_series(1, 24) i")
	pool := db.Pool(t)
	conn, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	var f *fault.Fault
	if err := checkFreeSlot(t.Context(), conn.Conn()); !errors.As(err, &f) || f.Code != fault.SlotsExhausted {
		t.Fatalf("with all slots in use: %v", err)
	}
	if !strings.Contains(f.Fix, "max_replication_slots = 34;") {
		t.Errorf("the fix of 24 slots that are in use is %q", f.Fix)
	}
	for _, unknown := range []*fault.Fault{slotsExhausted(0), sendersExhausted(fault.SlotsExhausted)} {
		if strings.Contains(unknown.Fix, "= 20") || !strings.Contains(unknown.Fix, "SHOW ") {
			t.Errorf("the fix where the setting's value is not known is %q", unknown.Fix)
		}
	}
}
