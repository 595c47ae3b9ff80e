package lab

import (
	_ "embed"
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

// verdict compares the truth with the outbox, and the outbox with what was received; it fails the test for each
// violation.
func (l *laboratory) verdict() figures {
	l.t.Helper()
	l.db.Exec(l.t, "analyze") // or the comparisons are planned for the tables as they were before the last crash
	f := figures{Faults: l.journal.counts(), Explained: map[string]int{}, RSSMiB: l.watch.rss.Load() / 1024,
		SlowestRestartSeconds: l.slowestRestart.Seconds()}
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
	f.Empty = pgtest.Value[int](l.t, l.db, "select count(*)::int from attendee_relay.acceptance where state = 'empty'")
	f.Gone = pgtest.Value[int](l.t, l.db, "select count(*)::int from lab.gone where became is null")
	f.Renumbered = pgtest.Value[int](l.t, l.db, "select count(*)::int from lab.gone where became is not null")
	f.Found = pgtest.Value[int](l.t, l.db, "select count(*)::int from attendee_relay.outbox where committed_at is null")
	for _, left := range pgtest.Values[string](l.t, l.db, `select format(
		'%s is %s, evaluated %s times, last error %s, committed %s',
		identity, state, evaluations, last_error, committed_at) from attendee_relay.acceptance a where not (state = 'empty'
		and lab.may_be_empty(identity::bigint, coalesce(committed_at, created_at), empty_since)) limit 20`) {
		l.t.Errorf("an acceptance without a message: %s", left)
	}
	for _, wrong := range pgtest.Values[string](l.t, l.db, wronglyWithdrawn) {
		l.t.Errorf("withdrawn although it was accepted all the time: %s", wrong)
	}
	for _, twice := range pgtest.Values[string](l.t, l.db, `select message_id from attendee_relay.attempt
		where status between 200 and 299 group by 1 having count(*) > 1 limit 20`) {
		l.t.Errorf("%s was recorded as delivered twice", twice)
	}
}

// wronglyWithdrawn lists messages that ended as withdrawn although their row has kept its id and its status since they
// were accepted: it is accepted now, has not left its id, and was not accepted once more.
const wronglyWithdrawn = `select format('%s of attendee %s, committed %s: %s', m.message_id, m.identity,
	m.committed_at, s.last_error)
	from attendee_relay.settled s
	join attendee_relay.message m using (id)
	join attendees a on a.id = m.identity::bigint and a.status = 'Accepted'
	where s.last_error like 'withdrawn:%'
	and not exists (select from lab.gone g where g.attendee = a.id and pg_xact_commit_timestamp(g.xid::xid) >=
		coalesce(m.committed_at, m.created_at))
	and not exists (select from lab.truth t where t.attendee = a.id and pg_xact_commit_timestamp(t.xid::xid) >
		coalesce(m.committed_at, m.created_at))
	limit 20`

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
