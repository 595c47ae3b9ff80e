package outbox

import (
	"cmp"
	"context"
	_ "embed"
	"slices"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"attendee-relay/replication"
)

var (
	//go:embed sql/waiting_read.sql
	waitingReadSQL string
	//go:embed sql/waiting_touch.sql
	waitingTouchSQL string
	//go:embed sql/waiting_add.sql
	waitingAddSQL string
)

// batch is what a run of commits comes to: the ledger's change, messages that are ready, and acceptances that wait.
type batch struct {
	// identities are all those that the commits name.
	identities []string
	ledger     *ledger
	messages   messages
	waiting    []acceptance
	touched    []*stored
	settle     string
	accepted   int
	// end is where the last of the commits ends.
	end pglogrepl.LSN
}

// stored is a waiting acceptance in the database whose row the commits touch: it is evaluated again at once.
type stored struct {
	id int64
	*place
}

// prior is what the bookkeeping says of the rows that a run of commits names.
type prior struct {
	identities, keys []string
	ledger           *ledger
	waiting          []*stored
}

func newPrior(commits []replication.Commit) *prior {
	p := &prior{}
	p.identities, p.keys = mentioned(commits)
	return p
}

// ask queues the questions; what was answered before is forgotten.
func (p *prior) ask(q *pgx.Batch) {
	q.Queue(ledgerReadSQL, p.identities).Query(func(rows pgx.Rows) (err error) {
		p.ledger, err = collectLedger(rows, len(p.identities))
		return err
	})
	q.Queue(waitingReadSQL, p.identities, p.keys).Query(func(rows pgx.Rows) (err error) {
		p.waiting, err = pgx.CollectRows(rows, scanStored)
		return err
	})
}

// evaluate finds the commits' acceptances and renders them, inside the reader's snapshot.
func (r *Recorder) evaluate(ctx context.Context, commits []replication.Commit, p *prior) (*batch, error) {
	waiting := p.waiting
	b := &batch{identities: p.identities, ledger: p.ledger, settle: interval(r.config.Settle),
		end: commits[len(commits)-1].EndLSN}
	fresh := slices.DeleteFunc(slices.Clone(commits), func(c replication.Commit) bool { return r.inBaseline(&c) })
	accepted := decideAll(fresh, p.ledger, waiting)
	b.accepted = len(accepted)
	found, queued := queueBehind(waiting, accepted)
	ready, late, err := r.render(ctx, found)
	if err != nil {
		return nil, err
	}
	b.messages = ready
	b.wait(append(queued, late...))
	for _, w := range waiting {
		if w.touched {
			b.touched = append(b.touched, w)
		}
	}
	return b, nil
}

// wait has acceptances wait.
func (b *batch) wait(more []acceptance) {
	b.waiting = append(b.waiting, more...)
	slices.SortStableFunc(b.waiting, func(x, y acceptance) int { return cmp.Compare(x.lsn, y.lsn) })
}

// postpone has the acceptances wait whose messages are there.
func (b *batch) postpone() {
	b.wait(b.messages.rendered)
	b.messages = messages{}
}

// decideAll applies the commits to the ledger and returns their acceptances in order. These, and the acceptances that
// wait already, are then where the last of the commits has left their rows.
func decideAll(commits []replication.Commit, l *ledger, waiting []*stored) (accepted []acceptance) {
	places := whereabouts{}
	for _, w := range waiting {
		places.add(w.place)
	}
	for i := range commits {
		n := newNet()
		for _, change := range commits[i].Changes {
			n.apply(change)
		}
		decided := l.decide(&commits[i], n)
		places.follow(n)
		for _, a := range decided {
			places.add(a.place)
		}
		accepted = append(accepted, decided...)
	}
	return accepted
}

// queueBehind separates the acceptances: one whose key waits already queues behind what waits, so that a later one is
// never sent before it. The keys are those under which the payload is read, after all the commits: within the batch a
// row may have taken over the key with which another one waits, and have left it again.
func queueBehind(waiting []*stored, accepted []acceptance) (found, queued []acceptance) {
	held := map[string]bool{}
	for _, w := range waiting {
		if w.key != nil {
			held[*w.key] = true
		}
	}
	for _, a := range accepted {
		if a.key == nil || held[*a.key] {
			queued = append(queued, a)
		} else {
			found = append(found, a)
		}
	}
	return found, queued
}

// mentioned lists the identities that the commits name and, if they accept any row, the keys that the row may have been
// given in them.
func mentioned(commits []replication.Commit) (identities, keys []string) {
	seen := map[string]bool{}
	accepts := false
	for _, commit := range commits {
		for _, c := range commit.Changes {
			named := []string{c.Identity, c.Previous}
			switch c.Op {
			case replication.Truncate:
				named = nil
			case replication.Insert, replication.Delete:
				named = named[:1]
			}
			for _, identity := range named {
				if !seen[identity] {
					seen[identity] = true
					identities = append(identities, identity)
				}
			}
			accepts = accepts || c.Status == replication.Accepted
			if c.Key.Kind == replication.Present {
				keys = append(keys, c.Key.Text)
			}
		}
	}
	if !accepts {
		return identities, nil
	}
	return identities, keys
}

func scanStored(row pgx.CollectableRow) (*stored, error) {
	s := &stored{place: &place{}}
	return s, row.Scan(&s.id, &s.row, &s.key)
}

// write queues the statements that store the batch, except for its messages; plain: the ledger has no more of its rows
// than were read.
func (b *batch) write(q *pgx.Batch, plain bool) {
	b.ledger.write(q, plain)
	queueTouched(q, b.touched)
	queueWaiting(q, b.waiting, b.settle)
}

func queueTouched(q *pgx.Batch, touched []*stored) {
	if len(touched) == 0 {
		return
	}
	var ids []int64
	var rows []string
	var keys []*string
	for _, w := range touched {
		ids, rows, keys = append(ids, w.id), append(rows, w.row), append(keys, w.key)
	}
	q.Queue(waitingTouchSQL, ids, rows, keys)
}

func queueWaiting(q *pgx.Batch, waiting []acceptance, settle string) {
	if len(waiting) == 0 {
		return
	}
	var identities, rows, lsns []string
	var keys, times, stamps []*string
	for _, a := range waiting {
		identities, rows, keys = append(identities, a.identity), append(rows, a.row), append(keys, a.key)
		lsns, times = append(lsns, a.lsn.String()), append(times, timeText(a.time))
		stamps = append(stamps, timeText(a.stamp))
	}
	q.Queue(waitingAddSQL, identities, rows, keys, lsns, times, stamps, settle)
}
