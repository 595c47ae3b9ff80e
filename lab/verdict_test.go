package lab

import (
	_ "embed"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/pgtest"
)

//go:embed truth.sql
var truthSQL string

// shown is how many violations of one sort are printed; the rest is counted.
const shown = 20

// violations collects what must not be, of one sort.
type violations struct {
	lab  *laboratory
	what string
	n    int
}

func (v *violations) add(format string, args ...any) {
	v.lab.t.Helper()
	if v.n++; v.n <= shown {
		v.lab.t.Errorf(v.what+": "+format, args...)
	} else if v.n == shown+1 {
		v.lab.t.Errorf("%s: and more of them", v.what)
	}
}

// around lists the faults near a moment.
func (l *laboratory) around(moment time.Time) string {
	const near = 3 * time.Second
	return "; the faults around:\n" + l.journal.between(moment.Add(-near), moment.Add(near))
}

// verdict compares the truth with the outbox, and the outbox with what was received; it fails the test for each violation.
func (l *laboratory) verdict() figures {
	l.t.Helper()
	f := figures{Faults: l.journal.counts(), Explained: map[string]int{}, RSSMiB: l.watch.rss.Load() / 1024, SlowestRestartSeconds: l.slowestRestart.Seconds()}
	f.Acceptances = pgtest.Value[int](l.t, l.db, "select count(*)::int from lab.truth")
	l.compareWithTruth(&f)
	l.compareRequests(&f)
	for _, wrong := range l.watch.wrong {
		l.t.Errorf("seen while running: %s", wrong)
	}
	return f
}

// compareWithTruth asks Postgres for what is in one and not in the other.
func (l *laboratory) compareWithTruth(f *figures) {
	l.t.Helper()
	lost, repeated := violations{lab: l, what: "lost"}, violations{lab: l, what: "repeated"}
	rows, err := l.ask(truthSQL)
	if err != nil {
		l.t.Fatalf("comparing the outbox with the truth: %v", err)
	}
	var d difference
	var all []difference
	_, err = pgx.ForEachRow(rows, []any{&d.what, &d.key, &d.at, &d.url}, func() error {
		all = append(all, d)
		return nil
	})
	if err != nil {
		l.t.Fatalf("comparing the outbox with the truth: %v", err)
	}
	for _, d := range withoutResync(all) {
		v, at := &lost, l.journal.start
		if d.what == "repeated" {
			v = &repeated
		}
		if d.at != nil {
			at = *d.at
		}
		v.add("attendee %s at %s, committed at %s%s", d.key, d.url, l.journal.at(at), l.around(at))
	}
	f.Lost, f.Repeated = lost.n, repeated.n
	f.Found = pgtest.Value[int](l.t, l.db, "select count(*)::int from attendee_relay.outbox where committed_at is null")
	for _, left := range pgtest.Values[string](l.t, l.db, `select format('%s is %s, evaluated %s times, last error %s, committed %s',
		identity, state, evaluations, last_error, committed_at) from attendee_relay.acceptance limit 20`) {
		l.t.Errorf("an acceptance without a message: %s", left)
	}
	for _, twice := range pgtest.Values[string](l.t, l.db, `select message_id from attendee_relay.attempt
		where status between 200 and 299 group by 1 having count(*) > 1 limit 20`) {
		l.t.Errorf("%s was recorded as delivered twice", twice)
	}
}

// difference is an acceptance that is only in the truth (lost) or only in the outbox (repeated).
type difference struct {
	what, key, url string
	at             *time.Time // nil: found by a comparison of ledger and table, which does not know when
}

// withoutResync takes each acceptance that was found by comparing ledger and table for the one in the truth that it is.
func withoutResync(all []difference) (left []difference) {
	found := map[difference]int{}
	for _, d := range all {
		if d.what == "repeated" && d.at == nil {
			found[d]++
		}
	}
	for _, d := range all {
		pair := difference{what: "repeated", key: d.key, url: d.url}
		switch {
		case d.what == "lost" && found[pair] > 0:
			found[pair]--
		case d != pair:
			left = append(left, d)
		}
	}
	for d, n := range found {
		left = append(left, slices.Repeat([]difference{d}, n)...)
	}
	return left
}

// message is what the outbox says of one.
type message struct {
	id, attendee, url string
	body              uint64
	delivered         time.Time
	first, ok         *request // the first request of all, and the first that was answered with a 2xx
}

// compareRequests goes through the requests in order.
func (l *laboratory) compareRequests(f *figures) {
	l.t.Helper()
	messages, order := l.messages()
	requests, wrong := l.receiver.all()
	unsigned, foreign, bodies := violations{lab: l, what: "signature or address"}, violations{lab: l, what: "not in the outbox"},
		violations{lab: l, what: "another body than the stored one"}
	for _, w := range wrong {
		unsigned.add("%s", w)
	}
	j := &duplicates{lab: l, late: l.lateAnswers(), figures: f, unexplained: violations{lab: l, what: "an unexplained duplicate"}}
	for i := range requests {
		r := &requests[i]
		m := messages[r.id]
		switch {
		case m == nil:
			foreign.add("%s at %s", r.id, l.journal.at(r.at))
			continue
		case r.body != m.body || l.receiver.hook(r.endpoint) != m.url:
			bodies.add("%s at %s", r.id, l.journal.at(r.at))
		}
		if m.first == nil || r.at.Before(m.first.at) {
			m.first = r
		}
		switch {
		case r.ok && m.ok == nil:
			m.ok = r
		case r.ok:
			j.judge(m, m.ok, r)
			m.ok = r
		}
	}
	f.Messages, f.Requests = len(order), len(requests)
	l.compareOrder(order, requests)
}

// compareOrder: of an attendee's messages to one endpoint, none is sent before the one before it was answered with a 2xx.
func (l *laboratory) compareOrder(order []*message, requests []request) {
	l.t.Helper()
	early, missing := violations{lab: l, what: "sent before an earlier one was delivered"}, violations{lab: l, what: "never received"}
	succeeded := make(map[string]time.Time, len(order))
	for i := range requests {
		if r := &requests[i]; r.ok {
			if _, again := succeeded[r.id]; !again {
				succeeded[r.id] = r.answered
			}
		}
	}
	last := map[[2]string]*message{}
	for _, m := range order {
		if m.ok == nil {
			missing.add("%s of attendee %s at %s", m.id, m.attendee, m.url)
			continue
		}
		lane := [2]string{m.attendee, m.url}
		if before := last[lane]; before != nil && m.first.at.Before(succeeded[before.id]) {
			early.add("%s of attendee %s at %s, %s was delivered at %s%s", m.id, m.attendee, l.journal.at(m.first.at), before.id,
				l.journal.at(succeeded[before.id]), l.around(m.first.at))
		}
		last[lane] = m
	}
}

// messages reads the outbox in the order of the acceptances.
func (l *laboratory) messages() (map[string]*message, []*message) {
	l.t.Helper()
	rows, err := l.ask(`select message_id, source_key, webhook_url, payload, coalesce(delivered_at, 'infinity'::timestamptz) = 'infinity',
		coalesce(delivered_at, now()) from attendee_relay.outbox order by commit_lsn, message_id`)
	if err != nil {
		l.t.Fatalf("reading the outbox: %v", err)
	}
	byID, order := map[string]*message{}, []*message{}
	var m message
	var body string
	var open bool
	_, err = pgx.ForEachRow(rows, []any{&m.id, &m.attendee, &m.url, &body, &open, &m.delivered}, func() error {
		one := m
		one.body = l.receiver.digest(body)
		byID[m.id] = &one
		order = append(order, &one)
		return nil
	})
	if err != nil {
		l.t.Fatalf("reading the outbox: %v", err)
	}
	return byID, order
}

// attempt is when an HTTP attempt began and ended for the relay.
type attempt struct{ began, ended time.Time }

// lateAnswers are the attempts that failed in the relay's eyes.
func (l *laboratory) lateAnswers() map[string][]attempt {
	l.t.Helper()
	rows, err := l.ask(`select message_id, started_at, started_at + duration_ms * interval '1 millisecond' from attendee_relay.attempt
		where status is null or status not between 200 and 299`)
	if err != nil {
		l.t.Fatalf("reading the attempts: %v", err)
	}
	late := map[string][]attempt{}
	var id string
	var a attempt
	_, err = pgx.ForEachRow(rows, []any{&id, &a.began, &a.ended}, func() error {
		late[id] = append(late[id], a)
		return nil
	})
	if err != nil {
		l.t.Fatalf("reading the attempts: %v", err)
	}
	return late
}

func (m *message) String() string {
	return fmt.Sprintf("%s of attendee %s at %s", m.id, m.attendee, m.url)
}
