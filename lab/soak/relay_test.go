package soak

import (
	"net/http"
	"syscall"
	"testing"
	"time"

	"attendee-relay/internal/relaytest"
)

// relay is the relay through all its restarts.
type relay struct {
	*relaytest.Relay
	environ []string
	stderr  int64 // bytes of the log of the processes before
	peak    int64 // most resident memory of them
}

// startRelay starts the relay with the environment of the README's fourth step, and the settings that a receiver on
// this machine needs.
func (s *site) startRelay(t *testing.T) *relay {
	t.Helper()
	r := &relay{environ: []string{
		"DATABASE_URL=" + s.url(t, "attendee_relay"),
		"DELIVERY_SIGNING_SECRETS=" + relaytest.Secret,
		"DELIVERY_ALLOW_HTTP=true", "DELIVERY_ALLOW_NETWORKS=127.0.0.0/8",
		"ADMIN_ADDR=" + s.listen,
	}}
	r.Relay = relaytest.RunWith(t, r.environ)
	return r
}

func (r *relay) awaitReady(t *testing.T) {
	t.Helper()
	r.Await(t, time.Minute, "is ready", func(s relaytest.State) bool { return s.Status == http.StatusOK })
}

// end stops the process with a signal and keeps its log. The process has a minute.
func (r *relay) end(t *testing.T, signal syscall.Signal) {
	t.Helper()
	r.peak = max(r.peak, r.PeakMemory(t))
	r.Signal(t, signal)
	if status := r.Exit(t, time.Minute); signal == syscall.SIGTERM && status != 0 {
		t.Errorf("the relay ended with status %d after SIGTERM", status)
	}
	r.stderr += int64(len(r.Retire(t)))
}

func (r *relay) again(t *testing.T) {
	t.Helper()
	r.Relay = relaytest.RunWith(t, r.environ)
}
