package outbox

import "bytes"

// answer is what is kept of the payload query's rows, within bounds.
type answer struct {
	columns columns
	bounds  bounds
	rows    []payload
	// held is what the rows take, in bytes.
	held int
}

// add keeps a row, whose values are valid only during the call, or returns errAnswer.
func (a *answer) add(values [][]byte) error {
	p := a.columns.payload(values, a.bounds.body)
	if n := len(a.rows); n > 0 && a.rows[n-1].key == p.key && bytes.Equal(a.rows[n-1].body, p.body) {
		p.body = a.rows[n-1].body // the same for another endpoint
	} else {
		a.held += len(p.body)
	}
	a.held += p.words()
	a.rows = append(a.rows, p)
	switch {
	case a.held <= a.bounds.answer:
		return nil
	case a.bounds.spill == nil:
		return errAnswer
	}
	rows := a.rows
	a.rows, a.held = nil, 0
	return a.bounds.spill(rows)
}
