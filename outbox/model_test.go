package outbox_test

import (
	"maps"
	"slices"
)

// model says which rows a transaction accepts. It is written from the public contract, section 1, and knows the rows
// themselves, which the relay does not.
type model struct {
	rows map[int]*person // by number of the identity
	// The rest is about the open transaction.
	departed []*person
	clock    int
	saved    []*model
}

// person is one row over one transaction.
type person struct {
	id, key  int
	accepted bool
	// before: the row, or the one it is the continuation of, was accepted when the transaction began.
	before bool
	// fresh: it did not exist then, and was not deleted under the same identity before.
	fresh bool
	// at is when it was last inserted, or deleted.
	at int
	// truncated: a TRUNCATE took it.
	truncated bool
	continued bool
}

func newModel() *model { return &model{rows: map[int]*person{}} }

func (m *model) clone() *model {
	// Departed rows may come back, so that both lists must share the copies; nobody is in both.
	c := &model{rows: make(map[int]*person, len(m.rows)), clock: m.clock}
	for id, p := range m.rows {
		one := *p
		c.rows[id] = &one
	}
	for _, p := range m.departed {
		one := *p
		c.departed = append(c.departed, &one)
	}
	return c
}

func (m *model) begin() {
	m.departed, m.clock, m.saved = nil, 0, nil
	for _, p := range m.rows {
		*p = person{id: p.id, key: p.key, accepted: p.accepted, before: p.accepted}
	}
}

func (m *model) savepoint() { m.saved = append(m.saved, m.clone()) }

func (m *model) rollbackTo() {
	last := m.saved[len(m.saved)-1]
	m.rows, m.departed, m.clock = last.rows, last.departed, last.clock
	m.saved = m.saved[:len(m.saved)-1]
}

func (m *model) release() { m.saved = m.saved[:len(m.saved)-1] }

func (m *model) insert(id, key int, accepted bool) {
	m.clock++
	p := &person{id: id, fresh: true}
	for i := len(m.departed) - 1; i >= 0; i-- {
		if gone := m.departed[i]; gone.id == id {
			// DELETE then INSERT of the same identity is a move. What a TRUNCATE took without being accepted leaves no
			// trace in the stream, so its return counts as a new row: SOURCE_KEY may still say that it is a move.
			p = gone
			p.fresh = p.fresh || p.truncated && !p.before
			m.departed = slices.Delete(m.departed, i, i+1)
			break
		}
	}
	p.key, p.accepted, p.at, p.truncated = key, accepted, m.clock, false
	m.rows[id] = p
}

func (m *model) delete(id int) {
	m.clock++
	p := m.rows[id]
	p.at = m.clock
	delete(m.rows, id)
	m.departed = append(m.departed, p)
}

func (m *model) truncate() {
	m.clock++
	for _, id := range slices.Sorted(maps.Keys(m.rows)) {
		p := m.rows[id]
		p.at, p.truncated = m.clock, true
		delete(m.rows, id)
		m.departed = append(m.departed, p)
	}
}

// move changes the identity, which before follows.
func (m *model) move(from, to int) {
	p := m.rows[from]
	delete(m.rows, from)
	p.id = to
	m.rows[to] = p
}

// commit returns the identities of the rows that the transaction accepts, in order.
func (m *model) commit() []int {
	var arrived []*person
	for _, p := range m.rows {
		if p.accepted && p.fresh {
			arrived = append(arrived, p)
		}
	}
	slices.SortFunc(arrived, func(a, b *person) int { return a.at - b.at })
	for _, p := range arrived {
		for _, gone := range m.departed {
			// DELETE then INSERT of the same SOURCE_KEY is a move too; a deleted row moves to one place only.
			if gone.before && !gone.continued && gone.key == p.key && gone.at < p.at {
				gone.continued, p.before = true, true
				break
			}
		}
	}
	var accepted []int
	for id, p := range m.rows {
		if p.accepted && !p.before {
			accepted = append(accepted, id)
		}
	}
	slices.Sort(accepted)
	return accepted
}
