package delivery

import (
	"sync"

	"github.com/google/uuid"

	"attendee-relay/outbox"
)

// gate keeps the bounds on requests in flight, over all and of each endpoint, and knows when a place that became free is
// worth a claim: only where a claim may have left messages behind for want of it.
type gate struct {
	total, perEndpoint int
	// signal wakes the claim loop; it holds one wake-up, however many places became free.
	signal chan struct{}

	mu     sync.Mutex
	flying int
	lanes  map[uuid.UUID]*lane
	// starved: the last claim took as much as there was room for in all.
	starved bool
	// freed counts the places worth a claim that became free since the last one.
	freed int
}

// lane is one endpoint's share; capped: the last claim took, or found taken, all of it.
type lane struct {
	flying int
	capped bool
}

func newGate(total, perEndpoint int) *gate {
	return &gate{
		total: total, perEndpoint: perEndpoint,
		signal: make(chan struct{}, 1), lanes: map[uuid.UUID]*lane{},
	}
}

// room returns how many requests may start, and how many each endpoint has in flight; it begins a new count of places.
func (g *gate) room() (free int, busy map[uuid.UUID]int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.freed = 0
	free = g.total - g.flying
	g.starved = free == 0
	busy = make(map[uuid.UUID]int, len(g.lanes))
	for endpoint, l := range g.lanes {
		busy[endpoint] = l.flying
		l.capped = l.flying >= g.perEndpoint
	}
	return free, busy
}

// take occupies a place, if there is one.
func (g *gate) take(endpoint uuid.UUID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.lanes[endpoint]
	if l == nil {
		l = &lane{}
	}
	if g.flying >= g.total || l.flying >= g.perEndpoint {
		return false
	}
	g.lanes[endpoint] = l
	l.flying++
	g.flying++
	return true
}

// release gives a place back.
func (g *gate) release(endpoint uuid.UUID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.lanes[endpoint]
	l.flying--
	g.flying--
	if l.flying == 0 {
		delete(g.lanes, endpoint)
	}
	if g.starved || l.capped {
		g.free(1)
	}
}

// claimed notes where a claim met a bound, so that there may be more behind it. Places given back while the claim was
// under way are free already.
func (g *gate) claimed(req outbox.ClaimRequest, messages []outbox.Message) {
	count := make(map[uuid.UUID]int)
	for i := range messages {
		count[messages[i].Endpoint]++
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(messages) >= req.Limit {
		g.starved = true
		g.free(g.total - g.flying)
	}
	for endpoint, n := range count {
		if n < req.PerEndpoint-req.Busy[endpoint] {
			continue
		}
		l := g.lanes[endpoint]
		if l == nil {
			g.free(g.perEndpoint)
			continue
		}
		l.capped = true
		g.free(g.perEndpoint - l.flying)
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

// worth reports whether a claim is worth it at once, when places are free for a quarter of what is in flight, or soon,
// when there is any.
func (g *gate) worth() (now, soon bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.freed > 0 && g.freed >= g.flying/4, g.freed > 0
}
