package outbox

// parcels are new messages in their order, as many together as one statement takes.
type parcels struct{ list []*messages }

// add renders one acceptance, whose payload is there.
func (p *parcels) add(systemID string, a acceptance, rows map[string][]payload) {
	for i := range rows[*a.key] {
		row := &rows[*a.key][i]
		p.place(len(row.body)).append(systemID, a, row)
	}
}

// place returns where a message with so large a body goes.
func (p *parcels) place(body int) *messages {
	if n := len(p.list); n > 0 && p.list[n-1].bytes+body <= maxBatch {
		return p.list[n-1]
	}
	m := &messages{}
	p.list = append(p.list, m)
	return m
}
