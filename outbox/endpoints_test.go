package outbox_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/capturetest"
	"attendee-relay/internal/pgtest"
	"attendee-relay/outbox"
)

// operatorConn is the session of a command.
func operatorConn(t *testing.T, db *pgtest.DB) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), db.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// gone claims a message and has it answered 410.
func gone(t *testing.T, q *outbox.Queue) {
	t.Helper()
	answer := attempt
	answer.Status, answer.Error = 410, "gone"
	settle(t, q, outbox.Settled{Applied: 1}, outbox.Settlement{Message: claim(t, q, 1, 8, time.Minute, nil)[0],
		Outcome: outbox.Gone(answer)})
}

// onlyEndpoint is what an operator sees of the only one there is.
func onlyEndpoint(t *testing.T, conn *pgx.Conn) outbox.Endpoint {
	t.Helper()
	list, err := outbox.ReadEndpoints(t.Context(), conn)
	if err != nil || len(list) != 1 {
		t.Fatalf("the endpoints are %+v, %v", list, err)
	}
	return list[0]
}

// enable enables an endpoint and checks that it was stopped, and that doing it again changes nothing.
func enable(t *testing.T, rig *capturetest.Rig, conn *pgx.Conn, id uuid.UUID) {
	t.Helper()
	for _, want := range []bool{true, false} {
		if done, err := outbox.EnableEndpoint(t.Context(), conn, id); err != nil || done != want {
			t.Fatalf("enabled: %t, %v; want %t", done, err, want)
		}
	}
	const row = `select format('%s %s %s', state, failures,
		coalesce(probe_at::text, probe_wait::text, look_at::text, 'nothing planned'))
		from attendee_relay.endpoint where since > now() - interval '1 minute'`
	if got := pgtest.Value[string](t, rig.DB, row); got != "recovering 0 nothing planned" {
		t.Fatalf("the endpoint is %s", got)
	}
}

// Whatever stopped it, and whether or not it has ever answered: an enabled endpoint gets all due messages, also from a
// relay that knows nothing of it.
func TestAnEnabledEndpointGetsItsMessages(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, state string
		proven      bool
		stop        func(*testing.T, *outbox.Queue)
		due         int // of 20; the others were tried and wait as the schedule says
	}{
		{"disabled by its first answer", "disabled", false, gone, 20},
		{"disabled after it had answered", "disabled", true, gone, 20},
		{"paused", "paused", true, func(t *testing.T, q *outbox.Queue) { t.Helper(); fail(t, q, 10) }, 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rig, q := newQueue(t, 1, people(20)...)
			rig.DB.Exec(t, "update attendee_relay.endpoint set proven = $1", c.proven)
			c.stop(t, q)
			conn := operatorConn(t, rig.DB)
			e := onlyEndpoint(t, conn)
			if string(e.State) != c.state || !e.Stopped() || e.Pending != 20 || e.Failures == 0 || e.Since == nil ||
				e.LastError == nil || e.URL != "https://example.org/1" {
				t.Errorf("before: %+v", e)
			}
			enable(t, rig, conn, e.ID)

			other := outbox.NewQueue(rig.DB.Pool(t), "test", outbox.Breaker{Failures: 10, Probe: time.Minute}, nil)
			got := claim(t, other, 100, 8, time.Minute, nil)
			if len(got) != 1 || !got[0].Standing.Recovering || got[0].Standing.Trial == c.proven {
				t.Fatalf("a claimer that does not know it yet gets %d: %+v", len(got), got)
			}
			delivered := 0
			for ; len(got) > 0; got = claim(t, other, 100, 8, time.Minute, map[uuid.UUID]int{e.ID: 0}) {
				for _, m := range got {
					settle(t, other, outbox.Settled{Applied: 1}, outbox.Settlement{Message: m, Outcome: outbox.Delivered(attempt)})
					delivered++
				}
			}
			if delivered != c.due {
				t.Errorf("%d messages were delivered, want %d", delivered, c.due)
			}
		})
	}
}

// While it recovers, a failure is enough to pause it, and a 410 disables it as before.
func TestAnEnabledEndpointThatStillFails(t *testing.T) {
	t.Parallel()
	rig, q := newQueue(t, 1, people(5)...)
	conn := operatorConn(t, rig.DB)
	gone(t, q)
	enable(t, rig, conn, onlyEndpoint(t, conn).ID)
	gone(t, q)
	if row := endpointRow(t, rig); row != "disabled 1 " {
		t.Errorf("another 410: %s", row)
	}
	enable(t, rig, conn, onlyEndpoint(t, conn).ID)
	fail(t, q, 1)
	if row := endpointRow(t, rig); row != "paused 1 60" {
		t.Errorf("a failure: %s", row)
	}
	settle(t, q, outbox.Settled{Applied: 1}, outbox.Settlement{Message: *probe(t, rig, q),
		Outcome: outbox.Delivered(attempt)})
	if row := endpointRow(t, rig); row != "recovering 0 60" {
		t.Errorf("an answered probe: %s", row)
	}
}

func TestEndpointsAreFoundByIDAndByURL(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	conn := operatorConn(t, db)
	if list, err := outbox.ReadEndpoints(t.Context(), conn); err != nil || list == nil || len(list) != 0 {
		t.Errorf("there is no outbox: %v, %v", list, err)
	}
	if _, err := outbox.FindEndpoint(t.Context(), conn, "https://example.org"); err == nil ||
		!strings.Contains(err.Error(), "no bookkeeping") {
		t.Errorf("there is no outbox: %v", err)
	}
	// The organiser's URL has a token, and its messages have not been tried yet: it has no row.
	const url = "https://user:hidden@example.org/hook?token=hidden"
	rig := peopleRig(t, peopleTable)
	rig.Outbox.Query = strings.ReplaceAll(peopleQuery, "https://example.org/hook", url)
	rig.Start(t)
	rig.AwaitLeading(t)
	rig.DB.Exec(t, "insert into people values (1, 'Accepted')")
	awaitCount(t, rig, 1)
	conn = operatorConn(t, rig.DB)
	listed := onlyEndpoint(t, conn)
	if listed.URL != "https://example.org/hook" || listed.State != "unknown" || listed.Since != nil ||
		listed.Pending != 1 {
		t.Errorf("listed: %+v", listed)
	}
	for _, name := range []string{url, " " + url + "\n", listed.ID.String(), strings.ToUpper(listed.ID.String())} {
		if e, err := outbox.FindEndpoint(t.Context(), conn, name); err != nil || *e != listed {
			t.Errorf("%q finds %+v, %v", name, e, err)
		}
	}
	for _, name := range []string{"https://example.org/hook", url + "2", uuid.NewString(), "hidden"} {
		e, err := outbox.FindEndpoint(t.Context(), conn, name)
		if err == nil || strings.Contains(err.Error(), "hidden") || !strings.Contains(err.Error(), "endpoints list") {
			t.Errorf("%q finds %+v, %v", name, e, err)
		}
	}
	if done, err := outbox.EnableEndpoint(t.Context(), conn, listed.ID); err != nil || done {
		t.Errorf("an active endpoint is enabled: %t, %v", done, err)
	}
}

// A recovery ends with its time, also when nothing was sent in it: what comes then is judged as of any other endpoint.
func TestARecoveryWithoutMessagesEnds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, want string
		outcome    outbox.Outcome
	}{
		{"with a success", "active 0 ", outbox.Delivered(attempt)},
		{"with a failure", "active 1 ", outbox.RetryIn(time.Hour, attempt)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rig, q := newQueue(t, 1, people(9)...)
			conn := operatorConn(t, rig.DB)
			fail(t, q, 9)
			rig.DB.Exec(t, "update attendee_relay.endpoint set state = 'paused'")
			enable(t, rig, conn, onlyEndpoint(t, conn).ID)
			rig.DB.Exec(t, "update attendee_relay.endpoint set since = now() - interval '1 day'")
			rig.DB.Exec(t, "update attendee_relay.pending set due_at = now()")
			// A relay that was started meanwhile, and has no failure of the endpoint in mind.
			other := outbox.NewQueue(rig.DB.Pool(t), "test", outbox.Breaker{Failures: 10, Probe: time.Minute}, nil)
			got := claim(t, other, 100, 8, time.Minute, nil)
			if len(got) != 8 {
				t.Errorf("%d are claimed", len(got))
			}
			settle(t, other, outbox.Settled{Applied: 1}, outbox.Settlement{Message: got[0], Outcome: c.outcome})
			// Who looks for probes ends what nobody else does.
			if _, err := other.Probe(t.Context(), 1, time.Minute); err != nil {
				t.Fatal(err)
			}
			if row := endpointRow(t, rig); row != c.want {
				t.Errorf("a day later: %s, want %s", row, c.want)
			}
		})
	}
}
