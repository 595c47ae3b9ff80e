package delivery

import (
	"sync"
	"time"

	"github.com/google/uuid"

	"attendee-relay/outbox"
)

// silence is how long an endpoint with requests in flight may answer none before it gets no more while places are scarce.
const silence = time.Second

// gate keeps the bounds on requests in flight, over all and of each endpoint, and knows when a place that became free is
// worth a claim: only where a claim may have left messages behind for want of it.
type gate struct {
	total, perEndpoint int
	// signal wakes the claim loop; it holds one wake-up, however many places became free.
	signal chan struct{}

	mu     sync.Mutex
	flying int
	// trials of them are to endpoints on trial.
	trials int
	lanes  map[uuid.UUID]*lane
	// starved: the last claim took as much as there was room for in all; trialStarved: for endpoints on trial.
	starved, trialStarved bool
	// promised: it was starved before the claim that is under way, which may bring what waited.
	promised bool
	// freed counts the places worth a claim that became free since the last one.
	freed int
}

// lane is one endpoint's share; capped: the last claim took, or found taken, all of it; promised: so did the one before the claim that
// is under way.
type lane struct {
	flying           int
	capped, promised bool
	// heard is when its last request ended, or its first began.
	heard time.Time
}

func newGate(total, perEndpoint int) *gate {
	return &gate{
		total: total, perEndpoint: perEndpoint,
		signal: make(chan struct{}, 1), lanes: map[uuid.UUID]*lane{},
	}
}

// room returns how many requests may start, in all and to endpoints on trial, and how many each endpoint has in flight; it
// begins a new count of places. Endpoints on trial may have half of all places, so that those that answer always have the
// other half, and only while a quarter is not taken more than one each, so that one new endpoint that hangs is in no other's
// way. When half are taken, an endpoint that has fallen silent counts as full.
func (g *gate) room(now time.Time) (free, trial, trialMore int, busy map[uuid.UUID]int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.freed = 0
	free = g.total - g.flying
	trial, trialMore = max(0, (g.total+1)/2-g.probes()-g.trials), max(0, (g.total+3)/4-g.trials)
	g.promised = g.starved
	g.starved, g.trialStarved = free == 0, trialMore == 0
	scarce := g.scarce()
	busy = make(map[uuid.UUID]int, len(g.lanes))
	for endpoint, l := range g.lanes {
		busy[endpoint] = l.flying
		if scarce && l.silent(now) {
			busy[endpoint] = g.perEndpoint
		}
		l.promised, l.capped = l.capped, busy[endpoint] >= g.perEndpoint
	}
	return free, trial, trialMore, busy
}

// scarce: places are.
func (g *gate) scarce() bool { return g.flying > g.total/2 }

func (l *lane) silent(now time.Time) bool { return now.Sub(l.heard) > silence }

// probes is how many of the places of endpoints on trial are kept for probes.
func (g *gate) probes() int {
	if g.total < 4 {
		return 0
	}
	return max(1, g.total/16)
}

// vacant returns how many probes may start: their endpoints are on trial.
func (g *gate) vacant() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return max(0, min(g.total-g.flying, (g.total+1)/2-g.trials))
}

// take occupies a place, if there is one.
func (g *gate) take(m *outbox.Message, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.enter(m.Endpoint, now) {
		return false
	}
	if m.Standing.Trial {
		g.trials++
	}
	return true
}

// reserve occupies a place for a message to an endpoint that is not on trial, if no older one is known to wait for a place.
func (g *gate) reserve(endpoint uuid.UUID, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.lanes[endpoint]
	if g.starved || g.promised || l != nil && (l.capped || l.promised || g.scarce() && l.silent(now)) {
		return false
	}
	return g.enter(endpoint, now)
}

func (g *gate) enter(endpoint uuid.UUID, now time.Time) bool {
	l := g.lanes[endpoint]
	if l == nil {
		l = &lane{heard: now}
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
func (g *gate) release(m *outbox.Message, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lanes[m.Endpoint].heard = now
	if m.Standing.Trial {
		g.trials--
	}
	g.leave(m.Endpoint, m.Standing.Trial)
}

// unreserve gives a place back that was reserved and is not used.
func (g *gate) unreserve(endpoint uuid.UUID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.leave(endpoint, false)
}

func (g *gate) leave(endpoint uuid.UUID, trial bool) {
	l := g.lanes[endpoint]
	l.flying--
	g.flying--
	if l.flying == 0 {
		delete(g.lanes, endpoint)
	}
	if g.starved || l.capped || g.trialStarved && trial {
		g.free(1)
	}
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
	for _, l := range g.lanes {
		l.promised = false
	}
	if len(messages) >= req.Limit {
		g.starved = true
		g.free(g.total - g.flying)
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
		g.free(max(0, places[endpoint]-l.flying))
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
