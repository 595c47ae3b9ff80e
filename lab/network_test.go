package lab

import "time"

// cut breaks a relay's connections to Postgres, and refuses new ones for a while or not at all.
func cut(l *laboratory) (outcome, bool) {
	r, ok := l.well()
	if !ok {
		return outcome{}, false
	}
	o := outcome{relay: r.number, heal: l.reconnect(r)}
	if l.random.IntN(2) == 0 {
		r.proxy.Cut()
		return o, true
	}
	r.proxy.Refuse()
	o.lasts = l.between(0, 4*time.Second)
	return o, true
}

// stall keeps a relay and Postgres from hearing each other, and tells neither; sometimes for longer than the relay's
// leases.
func stall(l *laboratory) (outcome, bool) {
	r, ok := l.well()
	if !ok {
		return outcome{}, false
	}
	ways := []struct {
		name     string
		up, down bool
	}{{"up", true, false}, {"down", false, true}, {"both ways", true, true}}
	way := ways[l.random.IntN(len(ways))]
	r.proxy.Stall(way.up, way.down)
	lasts := l.between(500*time.Millisecond, 3*takeover)
	if l.random.IntN(8) == 0 {
		lasts = 20 * time.Second
	}
	return outcome{relay: r.number, detail: way.name, lasts: lasts, heal: l.reconnect(r)}, true
}

func (l *laboratory) reconnect(r *relay) func() bool {
	return func() bool {
		r.proxy.Resume()
		r.struck = false
		return true
	}
}
