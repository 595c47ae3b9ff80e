package lab

import (
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/pgtest"
)

// message is what the outbox says of one.
type message struct {
	id, attendee, url string
	body              uint64
	delivered         time.Time
	first, ok         *request // the first request of all, and the first that was answered with a 2xx
	// renumbered: it was accepted under another id than the one that its payload was read under.
	renumbered bool
	// withdrawn: it ended because its row was gone, or not accepted any more.
	withdrawn bool
}

// compareRequests goes through the requests in order.
func (l *laboratory) compareRequests(f *figures) {
	l.t.Helper()
	messages, order := l.messages()
	requests, wrong := l.receiver.all()
	unsigned, foreign, bodies := violations{lab: l, what: "signature or address"},
		violations{lab: l, what: "not in the outbox"},
		violations{lab: l, what: "another body than the stored one"}
	for _, w := range wrong {
		unsigned.add("%s", w)
	}
	j := &duplicates{lab: l, late: l.lateAnswers(), figures: f,
		unexplained: violations{lab: l, what: "an unexplained duplicate"}}
	for i := range requests {
		r := &requests[i]
		m := messages[r.id]
		if r.relay() == everybody {
			f.Unattributed++
		}
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

// compareOrder checks that none of an attendee's messages to one endpoint is sent before the one before it was answered
// with a 2xx. One that was accepted under another id, and got the id of another row while it waited for its payload,
// may come after the message of that row: nobody could know before that both would be about the same attendee.
func (l *laboratory) compareOrder(order []*message, requests []request) {
	l.t.Helper()
	early, missing := violations{lab: l, what: "sent before an earlier one was delivered"},
		violations{lab: l, what: "never received"}
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
		if m.ok == nil && m.withdrawn {
			continue // the verdict looks at whether it was right
		}
		if m.ok == nil {
			missing.add("%v with a 2xx, recorded at %s%s", m, l.journal.at(m.delivered), l.around(m.delivered))
			continue
		}
		if m.renumbered {
			continue
		}
		lane := [2]string{m.attendee, m.url}
		if before := last[lane]; before != nil && m.first.at.Before(succeeded[before.id]) {
			early.add("%s of attendee %s at %s, %s was delivered at %s\n%s\n%s%s", m.id, m.attendee, l.journal.at(m.first.at),
				before.id, l.journal.at(succeeded[before.id]), l.story(before), l.story(m), l.around(m.first.at))
		}
		last[lane] = m
	}
}

// story describes when a message was accepted and recorded, its place among all messages, and its attempts, in seconds
// of the journal.
func (l *laboratory) story(m *message) string {
	l.t.Helper()
	return pgtest.Value[string](l.t, l.db, `
		with since as (select $2::timestamptz as start)
		select format('%s: accepted as %s by %s at %s, recorded as number %s at %s with key %s; attempts at %s', m.message_id,
			m.identity, m.commit_lsn,
		       m.committed_at - start, m.id, m.created_at - start, m.source_key,
		       (select string_agg(format('%s for %s ms: %s', a.started_at - start, a.duration_ms, coalesce(a.status::text,
		       	a.error)), ', ' order by a.number)
		          from attendee_relay.attempt a where a.message_id = m.message_id))
		  from attendee_relay.message m, since
		 where m.message_id = $1`, m.id, l.journal.start)
}

// messages reads the outbox in the order of the acceptances.
func (l *laboratory) messages() (map[string]*message, []*message) {
	l.t.Helper()
	rows, err := l.ask(`select o.message_id, o.source_key, o.webhook_url, o.payload,
		coalesce(o.delivered_at, 'infinity'::timestamptz) = 'infinity',
		coalesce(o.delivered_at, now()), m.identity <> o.source_key, coalesce(o.last_error like 'withdrawn:%', false)
		from attendee_relay.outbox o join attendee_relay.message m using (message_id) order by o.commit_lsn, o.message_id`)
	if err != nil {
		l.t.Fatalf("reading the outbox: %v", err)
	}
	byID, order := map[string]*message{}, []*message{}
	var m message
	var body string
	var open bool
	_, err = pgx.ForEachRow(rows, []any{&m.id, &m.attendee, &m.url, &body, &open, &m.delivered, &m.renumbered,
		&m.withdrawn}, func() error {
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

// lateAnswers are the attempts that took so long that the relay gave up on the answer.
func (l *laboratory) lateAnswers() map[string][]attempt {
	l.t.Helper()
	rows, err := l.ask(`select message_id, started_at, started_at + duration_ms * interval '1 millisecond'
		from attendee_relay.attempt
		where (status is null or status not between 200 and 299) and duration_ms >= $1`, timeout.Milliseconds()*9/10)
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
