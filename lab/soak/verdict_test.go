package soak

import (
	"fmt"
	"hash/maphash"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// unsettled counts acceptances without a message, and messages to be sent.
const unsettled = `select (select count(*) from attendee_relay.acceptance)
	+ (select count(*) from attendee_relay.outbox where state = 'pending')`

// miscounted lists attendees with a different number of acceptances than of messages.
const miscounted = `select concat('attendee ', id, ': ', coalesce(a.n, 0), ' acceptances, ', coalesce(m.n, 0),
		' messages')
	from (select attendee::text as id, count(*) as n from soak.accepted group by 1) a
	full join (select attendee_id as id, count(*) as n from attendee_relay.outbox group by 1) m using (id)
	where coalesce(a.n, 0) `

// unsent lists messages that ended without having been sent, except of attendees who were cancelled meanwhile.
const unsent = `select format('%s of attendee %s is %s: %s', message_id, attendee_id, state, last_error)
	from attendee_relay.outbox where state in ('dead', 'skipped')
	and not exists (select from soak.cancelled c where c.attendee::text = attendee_id)`

// clock is the format of a time of day in the log.
const clock = "15:04:05.000"

// verdict is the result of a run.
type verdict struct {
	accepted, delivered, waiting, withdrawn int64
	lost, twice, unsent, missing, altered   []string
	again                                   int
	unexplained                             []string
	failed                                  int64
}

// awaitSettled waits until nothing is left to do, or the time is up.
func (s *site) awaitSettled(t *testing.T, log *journal, within time.Duration) {
	t.Helper()
	began := time.Now()
	for time.Since(began) < within {
		if left, ok := value[int64](s, unsettled); ok && left == 0 {
			break
		}
		time.Sleep(200 * time.Millisecond)
	}
	left, _ := value[int64](s, unsettled)
	log.line("%.1f s after the end %d messages are left", time.Since(began).Seconds(), left)
}

func judge(t *testing.T, s *site, r *receivers, log *journal) *verdict {
	t.Helper()
	v := &verdict{
		lost:   list(t, s, miscounted+"> coalesce(m.n, 0)"),
		twice:  list(t, s, miscounted+"< coalesce(m.n, 0)"),
		unsent: list(t, s, unsent),
	}
	v.accepted, _ = value[int64](s, "select count(*) from soak.accepted")
	v.delivered, _ = value[int64](s, "select count(*) from attendee_relay.outbox where state = 'delivered'")
	v.waiting, _ = value[int64](s, unsettled)
	v.withdrawn, _ = value[int64](s, "select count(*) from attendee_relay.outbox where state = 'dead'")
	r.mu.Lock()
	defer r.mu.Unlock()
	v.altered = r.wrong
	v.compareReceived(t, s, r)
	v.countRepeated(r, log)
	return v
}

// compareReceived checks that each delivered message was received with its stored body.
func (v *verdict) compareReceived(t *testing.T, s *site, r *receivers) {
	t.Helper()
	rows, err := s.admin.Query(t.Context(),
		"select message_id, payload from attendee_relay.outbox where state = 'delivered'")
	if err != nil {
		t.Fatal(err)
	}
	var id, body string
	_, err = pgx.ForEachRow(rows, []any{&id, &body}, func() error {
		switch got := r.got[id]; {
		case got == nil:
			v.missing = append(v.missing, id)
		case got.body != maphash.String(r.hash, body):
			v.altered = append(v.altered, id+" was not received as it is stored")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// countRepeated counts 2xx answers beyond the first of a message, and those that no cause explains.
func (v *verdict) countRepeated(r *receivers, log *journal) {
	for id, got := range r.got {
		for i := 1; i < len(got.at); i++ {
			v.again++
			if !log.repeats(got.at[i-1]) {
				v.unexplained = append(v.unexplained, fmt.Sprintf("%s to %s at %s and %s", id, got.path,
					got.at[i-1].UTC().Format(clock), got.at[i].UTC().Format(clock)))
			}
		}
	}
}

func list(t *testing.T, s *site, sql string) []string {
	t.Helper()
	rows, err := s.admin.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// print logs the verdict and fails the test for each violation.
func (v *verdict) print(t *testing.T, log *journal, w *watch, r *relay) {
	t.Helper()
	log.line("end: %d accepted, %d delivered, %d ended as they were cancelled, %d wait for a retry; %d transactions of "+
		"the application failed; causes %v; faults shown %v; peak memory of the relay %d MiB", v.accepted, v.delivered,
		v.withdrawn, v.waiting, v.failed, log.count(), w.shown, max(r.peak, r.PeakMemory(t))>>20)
	log.line("end: %d answered with a 2xx again", v.again)
	for what, all := range map[string][]string{"lost": v.lost, "written twice": v.twice, "never sent": v.unsent,
		"delivered, but not received": v.missing, "wrongly received": v.altered, "false faults": w.unasked,
		"silent stops": w.stopped, "answered with a 2xx again without a cause": v.unexplained} {
		log.line("end: %d %s", len(all), what)
		for _, one := range all {
			log.line("  %s", one)
		}
		if len(all) > 0 {
			t.Errorf("%d %s: %v", len(all), what, all[:min(len(all), 20)])
		}
	}
	t.Logf("%d accepted, %d delivered, %d cancelled, %d waiting", v.accepted, v.delivered, v.withdrawn, v.waiting)
}
