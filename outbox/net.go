package outbox

import (
	"cmp"
	"slices"

	"attendee-relay/replication"
)

// row is one watched row over one transaction: where it was when the transaction began and where it is at its end.
type row struct {
	// identity is the row's latest; for a gone row the one it was deleted under.
	identity string
	gone     bool
	// existed: the row was there when the transaction began, as origin.
	existed bool
	origin  string
	key     replication.Value
	status  replication.Status
	// seq orders the appearance of new rows and the disappearance of gone ones.
	seq int64

	// number is the row's place in the spool; 0: it is not there yet. dirty: the spool has an older picture.
	number int64
	dirty  bool
	// before is what the ledger says of origin; filled when the row is spooled, else at the decision.
	before entry
	// reloaded: inserted after a TRUNCATE that took it. If it was not accepted before, nothing says that it existed.
	reloaded bool
	// successor is the row that a gone one was inserted again as, under the same SOURCE_KEY.
	successor *row
}

// net folds the changes of one transaction into the net change of each row. Several flips net out; an update of the
// identity moves the row; a deletion followed by an insertion of the same identity is a move as well.
type net struct {
	rows []*row
	live map[string]*row
	gone map[string][]*row
	// origins holds the identities that some row had when the transaction began, so that nothing else claims them.
	origins map[string]*row
	// truncates are the seqs of the TRUNCATEs, in order: since the last one every row of the table is gone that was not
	// inserted after it.
	truncates []int64
	seq       int64
}

func newNet() *net {
	return &net{live: map[string]*row{}, gone: map[string][]*row{}, origins: map[string]*row{}}
}

// apply folds one more change in.
func (n *net) apply(c replication.Change) {
	n.seq++
	switch c.Op {
	case replication.Insert:
		n.write(n.inserted(c.Identity), c)
	case replication.Update:
		r := n.find(c.Previous)
		delete(n.live, c.Previous)
		n.write(r, c)
	case replication.Delete:
		n.remove(n.find(c.Identity))
	case replication.Truncate:
		for _, r := range n.rows {
			if !r.gone {
				n.remove(r)
			}
		}
		n.truncates = append(n.truncates, n.seq)
	}
}

// find returns the live row of that identity; one not met before existed when the transaction began.
func (n *net) find(identity string) *row {
	if r := n.live[identity]; r != nil {
		return r
	}
	return n.existing(identity)
}

func (n *net) existing(identity string) *row {
	r := &row{identity: identity, existed: true, origin: identity}
	n.origins[identity] = r
	n.rows = append(n.rows, r)
	return r
}

// inserted returns the row that an insertion brings back: the one deleted under the same identity, or the one that a
// TRUNCATE took; else a new one.
func (n *net) inserted(identity string) *row {
	if gone := n.gone[identity]; len(gone) > 0 {
		r := gone[len(gone)-1]
		n.gone[identity] = gone[:len(gone)-1]
		// A row deleted before the TRUNCATE, or again after it, is known from its DELETE.
		r.seq, r.reloaded = n.seq, r.reloaded || slices.Contains(n.truncates, r.seq)
		return r
	}
	if n.truncated() && n.origins[identity] == nil {
		r := n.existing(identity)
		r.seq, r.reloaded = n.seq, true
		return r
	}
	r := &row{identity: identity, seq: n.seq}
	n.rows = append(n.rows, r)
	return r
}

func (n *net) write(r *row, c replication.Change) {
	r.identity, r.gone, r.dirty = c.Identity, false, true
	if c.Key.Kind != replication.Unchanged {
		r.key = c.Key
	}
	if c.Status != replication.StatusUnchanged {
		r.status = c.Status
	}
	n.live[c.Identity] = r
}

func (n *net) truncated() bool { return len(n.truncates) > 0 }

func (n *net) remove(r *row) {
	delete(n.live, r.identity)
	r.gone, r.dirty, r.seq = true, true, n.seq
	n.gone[r.identity] = append(n.gone[r.identity], r)
}

// load adds rows as the spool holds them. They do not record TRUNCATEs: a row that is live in the spool is gone since
// the first TRUNCATE after the row's seq.
func (n *net) load(rows []*row) {
	for _, r := range rows {
		if at, _ := slices.BinarySearch(n.truncates, r.seq); !r.gone && at < len(n.truncates) {
			r.gone, r.seq = true, n.truncates[at]
		}
	}
	slices.SortStableFunc(rows, func(a, b *row) int { return cmp.Compare(a.seq, b.seq) })
	for _, r := range rows {
		n.rows = append(n.rows, r)
		if r.existed {
			n.origins[r.origin] = r
		}
		if r.gone {
			n.gone[r.identity] = append(n.gone[r.identity], r)
		} else {
			n.live[r.identity] = r
		}
	}
}
