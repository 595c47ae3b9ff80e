package main

import (
	"slices"
	"strings"
	"testing"

	"attendee-relay/internal/pgserver"
	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

// A standby has the same tables and can hold nothing.
func TestCommandsOnAStandby(t *testing.T) {
	t.Parallel()
	primary := pgtest.Start(t, nil)
	db := pgtest.On(t, primary)
	standby := pgtest.Standby(t, primary, pgserver.StandbyOptions{})
	environ := append(relaytest.Environ(db), "DATABASE_URL="+standby.URL(db.Name()))
	if unmet, _ := checked(t, environ, statusFailed); !slices.Equal(unmet, []string{"fail in_recovery"}) {
		t.Errorf("not ok: %q", unmet)
	}
	if got := invoke(t, environ, "setup", "--yes"); got.status != statusFailed ||
		!strings.Contains(got.stdout, "in_recovery") {
		t.Errorf("%+v", got)
	}
	s := readStatusOf(t, environ, statusDone)
	if s.Role != "none" || len(s.Faults) != 1 || s.Faults[0].Code != "in_recovery" {
		t.Errorf("%+v", s)
	}
	apart := append(relaytest.Environ(db), "DATABASE_REPLICATION_URL="+standby.URL(db.Name()))
	if unmet, _ := checked(t, apart, statusFailed); !slices.Equal(unmet, []string{"fail in_recovery"}) {
		t.Errorf("only the replication's: not ok: %q", unmet)
	}
}
