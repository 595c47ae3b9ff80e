package delivery

import (
	"sync"
	"time"

	"github.com/google/uuid"

	"attendee-relay/outbox"
)

// silence is how long an endpoint with requests in flight may answer none of them before it gets no more while places
// are scarce.
const silence = time.Second

// soon is a time within which quick endpoints answer, also where this process is not quick.
const soon = 20 * time.Millisecond

// gate keeps the bounds on requests in flight, of all endpoints together and of each, and knows when a free place is
// worth a claim: only if the last claim may have left messages behind for lack of it.
type gate struct {
	total, perEndpoint int
	// signal wakes the claim loop; it holds one wake-up, however many places became free.
	signal chan struct{}

	mu     sync.Mutex
	flying int
	// trials are the messages here to endpoints on trial.
	trials int
	lanes  map[uuid.UUID]*lane
	lately lately
	// starved: the last claim took as much as there was room for in all; trialStarved: for endpoints on trial.
	starved, trialStarved bool
	// promised: it was starved before the claim that is under way, which may bring what waited.
	promised bool
	// freed counts the places worth a claim that became free since the last one.
	freed int
	line  line
	load  load
}

// lane is one endpoint's share; capped: the last claim took, or found taken, all of it; promised: so did the one before
// the claim that is under way.
type lane struct {
	endpoint         uuid.UUID
	flying           int
	capped, promised bool
	// heard is when its last request ended, or its first began; ended is when its last request ended, if one has since the
	// lane was made.
	heard, ended time.Time
	// waiting messages stand in line for a place, rooms are reserved for more; queued: it has its turn.
	waiting []outbox.Message
	rooms   int
	queued  bool
}

// held is how many messages the endpoint has here.
func (l *lane) held() int { return l.flying + len(l.waiting) + l.rooms }

func newGate(total, perEndpoint int) *gate {
	return &gate{
		total: total, perEndpoint: perEndpoint,
		signal: make(chan struct{}, 1), lanes: map[uuid.UUID]*lane{}, line: line{pulses: map[uuid.UUID]time.Duration{}},
	}
}

// scarce: places are.
func (g *gate) scarce() bool { return g.flying > g.total/2 }

func (l *lane) silent(now time.Time) bool { return l.flying > 0 && now.Sub(l.heard) > silence }

// take occupies a place, if there is one; if not, the message waits in line.
func (g *gate) take(m *outbox.Message, now time.Time) (started bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.lane(m.Endpoint, now)
	if m.Standing.Trial {
		g.trials++
	}
	g.load.bytes += loadOf(m)
	return g.enterOrJoin(l, m, now)
}

// reserve keeps a place for a message to an endpoint that answers, or room in the line, if no older one is known to
// wait.
func (g *gate) reserve(endpoint uuid.UUID, now time.Time) (place, waits bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.lane(endpoint, now)
	defer g.forget(l)
	switch {
	case g.starved, g.promised, l.capped, l.promised, g.scarce() && l.silent(now), g.load.bytes >= g.load.most():
		return false, false
	case g.fits(l, now):
		g.enter(l, now)
		return true, false
	case l.held() < g.perEndpoint+g.allowance(endpoint) && g.vacancy() > 0:
		l.rooms++
		g.line.rooms++
		return false, true
	}
	return false, false
}

// fill puts a message where room is reserved for it, and reports whether it has a place already.
func (g *gate) fill(m *outbox.Message, now time.Time) (started bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.lane(m.Endpoint, now)
	l.rooms--
	g.line.rooms--
	g.load.bytes += loadOf(m)
	return g.enterOrJoin(l, m, now)
}

// carry counts the body of a message that takes a reserved place.
func (g *gate) carry(m *outbox.Message) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.load.bytes += loadOf(m)
}

func (g *gate) enterOrJoin(l *lane, m *outbox.Message, now time.Time) (entered bool) {
	if !g.fits(l, now) || len(l.waiting) > 0 {
		g.join(l, m)
		return false
	}
	g.enter(l, now)
	return true
}

func (g *gate) lane(endpoint uuid.UUID, now time.Time) *lane {
	l := g.lanes[endpoint]
	if l == nil {
		l = &lane{endpoint: endpoint, heard: now}
		g.lanes[endpoint] = l
	}
	return l
}

// forget drops a lane that has nothing.
func (g *gate) forget(l *lane) {
	if l.held() == 0 {
		delete(g.lanes, l.endpoint)
	}
}

// fits reports whether an endpoint may have one more place. While places are scarce, it has a second place only while
// its answers come as quickly as before, and no more than its share of all places: of the rest, many endpoints that
// fall silent at once then take a place each, and those that answer still find some.
func (g *gate) fits(l *lane, now time.Time) bool {
	switch {
	case g.flying >= g.total || l.flying >= g.perEndpoint:
		return false
	case g.scarce() && l.flying > 0:
		return !l.ended.IsZero() && now.Sub(l.ended) <= g.due(l.endpoint) && l.flying*g.lately.count() < g.total
	default:
		return true
	}
}

// due is within which time an endpoint with requests in flight answers one, if all is well.
func (g *gate) due(endpoint uuid.UUID) time.Duration {
	pulse, known := g.line.pulses[endpoint]
	if !known {
		return silence
	}
	return min(max(4*pulse, soon), silence)
}

func (g *gate) enter(l *lane, now time.Time) {
	if l.flying == 0 {
		l.heard = now
	}
	l.flying++
	g.flying++
	g.lately.note(l.endpoint, now)
}

// release gives a place back, of a request that has ended or of one that was not sent.
func (g *gate) release(m *outbox.Message, now time.Time, ended bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.lanes[m.Endpoint]
	if ended {
		l.heard, l.ended = now, now
	}
	if m.Standing.Trial {
		g.trials--
	}
	l.flying--
	g.flying--
	g.load.bytes -= loadOf(m)
	g.left(l, 1, m.Standing.Trial)
	if g.load.more && loadOf(m) > 0 {
		g.free(1)
	}
}

// unreserve gives places and rooms back that were reserved and are not used.
func (g *gate) unreserve(endpoint uuid.UUID, places, rooms int) {
	if places+rooms == 0 {
		return // all were used, and the lane may be gone
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.lanes[endpoint]
	l.flying -= places
	g.flying -= places
	l.rooms -= rooms
	g.line.rooms -= rooms
	g.left(l, places+rooms, false)
}

// left notes that something of a lane has become free.
func (g *gate) left(l *lane, n int, trial bool) {
	g.queue(l)
	g.forget(l)
	if g.starved || l.capped || g.trialStarved && trial {
		g.free(n)
	}
}
