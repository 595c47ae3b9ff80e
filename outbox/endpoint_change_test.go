package outbox_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"attendee-relay/internal/capturetest"
	"attendee-relay/outbox"
)

// logged are the changes of the endpoints' states in the log, as "from to why".
func logged(t *testing.T, logs *observer.ObservedLogs) (changes []string) {
	t.Helper()
	for _, entry := range logs.TakeAll() {
		fields := entry.ContextMap()
		if id := fmt.Sprint(fields["endpoint"]); len(id) != 36 {
			t.Errorf("the id is %q", id)
		}
		if host := fmt.Sprint(fields["host"]); host != "example.org" {
			t.Errorf("the host is %q", host)
		}
		changes = append(changes, fmt.Sprintf("%s %s %s", fields["from"], fields["to"], fields["why"]))
	}
	return changes
}

// Each change of state is one line; what changes nothing is none.
func TestChangesOfAnEndpointsStateAreLogged(t *testing.T) {
	t.Parallel()
	rig, q := newQueue(t, 1, people(40)...)
	rig.DB.Exec(t, "update attendee_relay.endpoint set proven = false, webhook_url = "+
		"'https://user:hidden@example.org/1?token=hidden#hidden'")
	core, logs := observer.New(zapcore.DebugLevel)
	q.LogTo(zap.New(core))
	deliver := func(n int) {
		for range n {
			settle(t, q, outbox.Settled{Applied: 1}, outbox.Settlement{Message: claim(t, q, 1, 8, time.Minute, nil)[0],
				Outcome: outbox.Delivered(attempt)})
		}
	}
	failure := attempt.Error
	for _, step := range []struct {
		what string
		do   func()
		want []string
	}{
		{"first answers", func() { deliver(3) }, []string{"unknown healthy it answered with a 2xx"}},
		{"some failures", func() { fail(t, q, 3) }, []string{"healthy failing " + failure}},
		{"a success", func() { deliver(2) }, []string{"failing healthy it answered with a 2xx"}},
		{"too many failures", func() {
			fail(t, q, 10)
		}, []string{"healthy failing " + failure, "failing paused failures since the last 2xx: 10; the last: " + failure}},
		{"a probe that fails", func() { settleProbe(t, rig, q, outbox.Waits(0, attempt)) }, nil},
		{"one that succeeds", func() {
			settleProbe(t, rig, q, outbox.Delivered(attempt))
		}, []string{"paused healthy it answered with a 2xx"}},
		{"a 410", func() { gone(t, q) }, []string{"healthy disabled gone"}},
	} {
		step.do()
		if got := logged(t, logs); !slices.Equal(got, step.want) {
			t.Errorf("%s: logged %q, want %q", step.what, got, step.want)
		}
	}
	if e := onlyEndpoint(t, operatorConn(t, rig.DB)); e.State != outbox.EndpointDisabled || e.By != nil ||
		strings.Contains(e.URL, "hidden") {
		t.Errorf("%+v", e)
	}
}

func settleProbe(t *testing.T, rig *capturetest.Rig, q *outbox.Queue, outcome outbox.Outcome) {
	t.Helper()
	m := probe(t, rig, q)
	if m == nil {
		t.Fatal("there is no probe")
	}
	settle(t, q, outbox.Settled{Applied: 1}, outbox.Settlement{Message: *m, Outcome: outcome})
}
