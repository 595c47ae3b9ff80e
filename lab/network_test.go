package lab

import "time"

// cut breaks a relay's connections to Postgres and refuses new ones for a while.
func cut(l *laboratory) (outcome, bool) {
	r, ok := l.well()
	if !ok {
		return outcome{}, false
	}
	r.proxy.breakOff()
	return outcome{relay: r.number, lasts: l.between(0, 3*time.Second), heal: l.reconnect(r)}, true
}

// stall makes a relay and Postgres deaf to each other without telling either; now and then for longer than the relay's leases.
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
	r.proxy.stall(way.up, way.down)
	lasts := l.between(500*time.Millisecond, 3*takeover)
	if l.random.IntN(8) == 0 {
		lasts = 20 * time.Second
	}
	return outcome{relay: r.number, detail: way.name, lasts: lasts, heal: l.reconnect(r)}, true
}

func (l *laboratory) reconnect(r *relay) func() bool {
	return func() bool {
		r.proxy.resume()
		r.struck = false
		return true
	}
}
