package delivery

import (
	"time"

	"github.com/google/uuid"

	"attendee-relay/outbox"
)

// room is what a claim may take: in all, with what may wait in line, and for endpoints on trial.
// For each endpoint it says how many messages are here and how many may be, and its share.
type room struct {
	all, trial, trialMore int
	// largeBytes is what large bodies may take of memory; alone: there is none.
	largeBytes  int
	alone       bool
	busy, ahead map[uuid.UUID]int
}

// room returns what a claim may take, and begins a new count of places. Endpoints on trial may have half of all places,
// so that those that answer always have the other half, and more than one place each only while less than a quarter is
// taken, so that a new endpoint that hangs delays no other. When half are taken, an endpoint that has fallen silent
// counts as full.
func (g *gate) room(now time.Time) room {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.freed = 0
	r := room{busy: make(map[uuid.UUID]int, len(g.lanes)), ahead: make(map[uuid.UUID]int, len(g.lanes))}
	r.all = g.total - g.flying + g.vacancy()
	r.largeBytes, r.alone = g.load.left()
	r.trial, r.trialMore = max(0, (g.total+1)/2-g.probes()-g.trials), max(0, (g.total+3)/4-g.trials)
	g.promised = g.starved
	g.starved, g.trialStarved = r.all == 0, r.trialMore == 0
	scarce := g.scarce()
	for endpoint, l := range g.lanes {
		r.busy[endpoint], r.ahead[endpoint] = l.held(), g.allowance(endpoint)
		if scarce && l.silent(now) {
			r.busy[endpoint] = max(r.busy[endpoint], g.perEndpoint+r.ahead[endpoint])
		}
		l.promised, l.capped = l.capped, r.busy[endpoint] >= g.perEndpoint+r.ahead[endpoint]
	}
	return r
}

// probes is how many of the places of endpoints on trial are kept for probes.
func (g *gate) probes() int {
	if g.total < 4 {
		return 0
	}
	return max(1, g.total/16)
}

// vacant returns how many probes may start: their endpoints are on trial. They may bring outbox.ProbeBytes of large
// bodies.
func (g *gate) vacant() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.load.probe() {
		return 0
	}
	return max(0, (g.total+1)/2-g.trials)
}

// claimed notes where a claim met a bound, so that there may be more behind it. Places given back while the claim was
// under way are free already.
func (g *gate) claimed(req outbox.ClaimRequest, messages []outbox.Message) {
	count, places := make(map[uuid.UUID]int), make(map[uuid.UUID]int)
	trials := 0
	for i := range messages {
		m := &messages[i]
		count[m.Endpoint]++
		places[m.Endpoint] = m.Standing.Places
		if m.Standing.Trial {
			trials++
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.promised = false
	g.load.claimed(req, messages)
	for _, l := range g.lanes {
		l.promised = false
	}
	if len(messages) >= req.Limit {
		g.starved = true
		g.free(g.total - g.flying + g.vacancy())
	}
	g.trialStarved = g.trialStarved || trials >= req.TrialMore
	for endpoint, n := range count {
		if n < places[endpoint]-req.Busy[endpoint] {
			continue
		}
		l := g.lanes[endpoint]
		if l == nil {
			g.free(places[endpoint])
			continue
		}
		l.capped = true
		g.free(max(0, places[endpoint]-l.held()))
	}
}

func (g *gate) free(places int) {
	if places == 0 {
		return
	}
	g.freed += places
	select {
	case g.signal <- struct{}{}:
	default:
	}
}

// worth reports whether a claim is worth making at once, with room for a quarter of the requests in flight and for as
// many messages as wait in line, or with any room after a while.
func (g *gate) worth() (now bool, after time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.freed == 0:
		return false, 0
	case g.line.waiting > 0:
		return g.freed >= max(g.flying/4, g.line.waiting), lingerInLine
	default:
		return g.freed >= g.flying/4, linger
	}
}
