package outbox

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"attendee-relay/replication"
)

var (
	//go:embed sql/ledger_read.sql
	ledgerReadSQL string
	//go:embed sql/ledger_remove.sql
	ledgerRemoveSQL string
	//go:embed sql/ledger_add.sql
	ledgerAddSQL      string
	ledgerAddPlainSQL = plainly(ledgerAddSQL)
)

// entry is what the ledger says of a row. The zero entry is a row that is not accepted.
type entry struct {
	accepted bool
	key      *string
	// lsn is the commit that accepted the row; nil: before the first start.
	lsn *pglogrepl.LSN
	// acceptedAs is the identity under which the row was accepted; nil if it is the present one.
	acceptedAs *string
}

// acceptance is a row whose status became accepted in a commit.
type acceptance struct {
	// identity is the row's in that commit; it is part of the message id.
	identity string
	lsn      pglogrepl.LSN
	// time is the time of the commit; stamp is the time in the commit record, on which the message id rests; zero if not
	// known.
	time, stamp time.Time
	*place
}

// place is where an accepted row is now, which may differ from where it was accepted.
type place struct {
	row     string
	key     *string
	touched bool
}

// whereabouts finds places by the row that is there now.
type whereabouts map[string][]*place

func (w whereabouts) add(p *place) { w[p.row] = append(w[p.row], p) }

// follow moves places along with their rows' changes in one transaction.
func (w whereabouts) follow(n *net) {
	var moved []*place
	for origin, r := range n.origins {
		places := w[origin]
		if len(places) == 0 {
			continue
		}
		delete(w, origin)
		if r.successor != nil {
			r = r.successor
		}
		for _, p := range places {
			p.row, p.touched = r.identity, true
			if key := r.keyAfter(); key != nil {
				p.key = key
			}
		}
		moved = append(moved, places...)
	}
	for _, p := range moved { // only now: rows may have changed places with each other
		w.add(p)
	}
}

// ledger is the part of the ledger that a batch of commits touches: read once, changed in memory commit by commit, and
// written back as a difference.
type ledger struct {
	loaded  map[string]entry
	current map[string]entry
}

// querier is what pgx's connections, transactions and pools have in common for reading.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func readLedger(ctx context.Context, q querier, identities []string) (*ledger, error) {
	rows, err := q.Query(ctx, ledgerReadSQL, identities)
	if err != nil {
		return nil, fmt.Errorf("reading the ledger: %w", err)
	}
	return collectLedger(rows, len(identities))
}

func collectLedger(rows pgx.Rows, most int) (*ledger, error) {
	l := &ledger{loaded: make(map[string]entry, most), current: make(map[string]entry, most)}
	var identity string
	var key, lsn, acceptedAs *string
	_, err := pgx.ForEachRow(rows, []any{&identity, &key, &lsn, &acceptedAs}, func() error {
		at, err := parseOptionalLSN(lsn)
		if err != nil {
			return err
		}
		e := entry{accepted: true, key: key, lsn: at, acceptedAs: acceptedAs}
		l.loaded[identity], l.current[identity] = e, e
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the ledger: %w", err)
	}
	return l, nil
}

// decide applies one transaction's net changes and returns its acceptances, in the order of the rows' first change.
func (l *ledger) decide(commit *replication.Commit, n *net) []acceptance {
	for _, r := range n.rows {
		if r.existed {
			r.before = l.current[r.origin]
		}
	}
	for _, r := range n.rows {
		if r.existed {
			delete(l.current, r.origin)
		}
	}
	left := departed(n.rows)
	var found []acceptance
	for _, r := range n.rows {
		after, accepts := r.settle(left)
		if after.accepted {
			l.current[r.identity] = after
		}
		if accepts {
			after.lsn = &commit.CommitLSN
			l.current[r.identity] = after
			found = append(found, acceptance{identity: r.identity, lsn: commit.CommitLSN,
				time: commit.Time, stamp: commit.Stamped(),
				place: &place{row: r.identity, key: after.key}})
		}
	}
	return found
}

// settle returns the row's ledger entry after the transaction and whether the transaction accepts it.
func (r *row) settle(left departures) (after entry, accepts bool) {
	accepted := r.status == replication.Accepted || r.status == replication.StatusUnchanged && r.before.accepted
	if r.gone || !accepted {
		return entry{}, false
	}
	after = entry{accepted: true, key: r.keyAfter(), lsn: r.before.lsn}
	if r.before.accepted {
		after.acceptedAs = r.continues(r)
		return after, false
	}
	if !r.existed && after.key != nil {
		if old := left.take(*after.key, r); old != nil {
			after.lsn, after.acceptedAs = old.before.lsn, r.continues(old)
			return after, false
		}
	}
	return after, true
}

// continues returns the identity under which the row that is now r was accepted, as the ledger keeps it; nil if it is
// r's.
func (r *row) continues(old *row) *string {
	as := old.origin
	if old.before.acceptedAs != nil {
		as = *old.before.acceptedAs
	}
	if as == r.identity {
		return nil
	}
	return &as
}

func (r *row) keyAfter() *string {
	switch r.key.Kind {
	case replication.Present:
		return &r.key.Text
	case replication.Unchanged:
		return r.before.key
	default:
		return nil
	}
}

// departures are the accepted rows that a transaction deleted, by SOURCE_KEY and in the order of their deletion: a row
// inserted after one of them with the same key is the same registration, moved.
type departures map[string][]*row

func departed(rows []*row) departures {
	left := departures{}
	for _, r := range rows {
		if key := r.keyAfter(); r.gone && r.before.accepted && key != nil {
			left[*key] = append(left[*key], r)
		}
	}
	for _, list := range left {
		slices.SortStableFunc(list, func(a, b *row) int { return cmp.Compare(a.seq, b.seq) })
	}
	return left
}

// take gives arrived the departure of key that it continues: the last one before it that nothing else continues. So an
// earlier arrival, which has fewer to choose from, finds one whatever the order of the calls is.
func (d departures) take(key string, arrived *row) *row {
	list := d[key]
	before, _ := slices.BinarySearchFunc(list, arrived.seq, func(r *row, seq int64) int { return cmp.Compare(r.seq, seq) })
	if before == 0 {
		return nil
	}
	r := list[before-1]
	d[key] = slices.Delete(list, before-1, before)
	r.successor = arrived
	return r
}

// write stores the difference between the rows that were read and the rows after the commits; plain: its rows have not
// changed meanwhile.
func (l *ledger) write(batch *pgx.Batch, plain bool) {
	var removed []string
	for identity := range l.loaded {
		if _, still := l.current[identity]; !still {
			removed = append(removed, identity)
		}
	}
	var added, changed ledgerRows
	for identity, e := range l.current {
		before, had := l.loaded[identity]
		switch {
		case !had && plain:
			added.add(identity, e)
		case !had || !before.equal(e):
			changed.add(identity, e)
		}
	}
	if len(removed) > 0 {
		batch.Queue(ledgerRemoveSQL, removed)
	}
	added.queue(batch, ledgerAddPlainSQL)
	changed.queue(batch, ledgerAddSQL)
}

func (e entry) equal(o entry) bool {
	return equalPointer(e.key, o.key) && equalPointer(e.lsn, o.lsn) && equalPointer(e.acceptedAs, o.acceptedAs)
}

func equalPointer[T comparable](a, b *T) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// ledgerRows are entries to store, as the arrays that one statement takes.
type ledgerRows struct {
	identities             []string
	keys, lsns, acceptedAs pgtype.FlatArray[pgtype.Text]
}

func (r *ledgerRows) add(identity string, e entry) {
	r.identities = append(r.identities, identity)
	r.keys = append(r.keys, nullable(e.key))
	r.lsns = append(r.lsns, nullable(lsnText(e.lsn)))
	r.acceptedAs = append(r.acceptedAs, nullable(e.acceptedAs))
}

func (r *ledgerRows) queue(batch *pgx.Batch, add string) {
	if len(r.identities) > 0 {
		batch.Queue(add, r.identities, r.keys, r.lsns, r.acceptedAs)
	}
}

func lsnText(lsn *pglogrepl.LSN) *string {
	if lsn == nil {
		return nil
	}
	text := lsn.String()
	return &text
}

func parseOptionalLSN(text *string) (*pglogrepl.LSN, error) {
	if text == nil {
		return nil, nil
	}
	lsn, err := pglogrepl.ParseLSN(*text)
	return &lsn, err
}
