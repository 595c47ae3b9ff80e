package main

import (
	"net/http"
	"testing"
	"time"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

// Relays that fail one after the other, where only one at a time may try to lead, do not take each other for the
// leader: as long as none of them captures, none is ready.
func TestStandbysThatFailInTurnSaySo(t *testing.T) {
	t.Parallel()
	db := pgtest.On(t, pgtest.Start(t, nil)) // a lock held for long keeps other tests from making their slots
	first := relaytest.Run(t, db)
	first.AwaitRole(t, time.Minute, "leader")
	first.Retire(t)
	_, release := db.Lock(t, "attendee_relay.schema_version")

	relays := []*relaytest.Relay{relaytest.Run(t, db), relaytest.Run(t, db), relaytest.Run(t, db)}
	failing := func() bool {
		for _, r := range relays {
			if s := r.State(t); s.Status != http.StatusServiceUnavailable || s.Codes() != "capture_failing" {
				return false
			}
		}
		return true
	}
	pgtest.WaitUntil(t, time.Minute, "each relay says that nobody captures", func() (bool, string) {
		return failing(), ""
	})
	// No signal says that a relay stays unready; ten seconds are several tries to lead of each.
	for began := time.Now(); time.Since(began) < 10*time.Second; time.Sleep(100 * time.Millisecond) {
		if !failing() {
			t.Fatalf("%v later one is ready again, and nobody captures", time.Since(began))
		}
	}
	release()
	pgtest.WaitUntil(t, time.Minute, "one leads and the others stand by, without faults", func() (bool, string) {
		roles := map[string]int{}
		for _, r := range relays {
			if s := r.State(t); s.Status == http.StatusOK && s.Codes() == "" {
				roles[s.Role]++
			}
		}
		return roles["leader"] == 1 && roles["standby"] == 2, ""
	})
}
