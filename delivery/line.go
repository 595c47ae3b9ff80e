package delivery

import (
	"time"

	"github.com/google/uuid"

	"attendee-relay/outbox"
)

const (
	// lineTime is how long a leased message may have to wait for a place, as far as can be foreseen: as many wait as are
	// sent in that time.
	lineTime = 500 * time.Millisecond
	// lineMost and lineBytes bound the messages that wait, and what their bodies take of memory; laneMost those to one
	// endpoint, which so never takes all the room there is.
	lineMost  = 4096
	laneMost  = lineMost / 4
	lineBytes = 8 << 20
	// maxPulses bounds how many endpoints are known; above that, all are forgotten.
	maxPulses = 100_000
)

// line holds leased messages that wait for a place, so that a sender which has finished one begins the next without
// asking the database: each in the queue of its endpoint, and endpoints take turns. As many as can be sent soon wait
// there, and after a failure of their endpoint none. The gate's lock guards it.
type line struct {
	// waiting and bytes count the messages; rooms are reserved for more.
	waiting, bytes, rooms int
	// turns are the lanes where something waits and a place of the endpoint's share is free, each once.
	turns []*lane
	// pulses are the endpoints whose last attempt by this process was answered with a 2xx: how long their answers take, on
	// average. The others get nothing by hand, and no place is kept for them that probes and retries need.
	pulses map[uuid.UUID]time.Duration
	// pulse is that of all together.
	pulse time.Duration
}

// average moves an average by an eighth towards what was seen last.
func average(before, seen time.Duration) time.Duration {
	if before == 0 {
		return max(seen, 1)
	}
	return max(before+(seen-before)/8, 1)
}

// judge notes how an attempt ended. After a failure nothing waits for the endpoint any more; what did is returned.
func (g *gate) judge(endpoint uuid.UUID, answered bool, took time.Duration) (left []outbox.Message) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !answered {
		delete(g.line.pulses, endpoint)
		return g.evict(endpoint)
	}
	if len(g.line.pulses) >= maxPulses {
		clear(g.line.pulses)
	}
	g.line.pulses[endpoint] = average(g.line.pulses[endpoint], took)
	g.line.pulse = average(g.line.pulse, took)
	return nil
}

// answers reports whether the endpoint's last attempt by this process was answered with a 2xx.
func (g *gate) answers(endpoint uuid.UUID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.line.pulses[endpoint] > 0
}

// within returns how many requests end in lineTime, so many at a time; at most most.
func within(places int, pulse time.Duration, most int64) int {
	if pulse == 0 {
		return 0
	}
	return int(min(most, int64(places)*int64(lineTime/pulse)))
}

// allowance returns how many messages of an endpoint may wait.
func (g *gate) allowance(endpoint uuid.UUID) int {
	return within(g.perEndpoint, g.line.pulses[endpoint], laneMost)
}

// vacancy returns how many more messages may wait in all.
func (g *gate) vacancy() int {
	if g.line.bytes >= lineBytes {
		return 0
	}
	return max(0, within(g.total, g.line.pulse, lineMost)-g.line.waiting-g.line.rooms)
}

// join has a message wait for a place.
func (g *gate) join(l *lane, m *outbox.Message) {
	l.waiting = append(l.waiting, *m)
	g.line.waiting++
	g.line.bytes += len(m.Payload)
	g.queue(l)
}

// queue gives a lane its turn, where something waits and a place of its share is free.
func (g *gate) queue(l *lane) {
	if !l.queued && len(l.waiting) > 0 && l.flying < g.perEndpoint {
		l.queued = true
		g.line.turns = append(g.line.turns, l)
	}
}

// next takes the message whose turn it is out of the line and gives it a place, if there is one. Those of an endpoint
// that has fallen silent while places are scarce are left: others wait for the room they take.
func (g *gate) next(now time.Time) (m outbox.Message, left []outbox.Message, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for turns := len(g.line.turns); turns > 0 && g.flying < g.total; turns-- {
		l := g.line.turns[0]
		g.line.turns = g.line.turns[1:]
		l.queued = false
		switch {
		case len(l.waiting) == 0 || l.flying >= g.perEndpoint:
			continue // what waited was evicted, or its share was taken meanwhile
		case g.scarce() && l.silent(now):
			left = append(left, g.evict(l.endpoint)...)
			continue
		case !g.fits(l, now):
			g.queue(l) // it has its part of the places; others' turns come first
			continue
		}
		m = l.waiting[0]
		l.waiting[0] = outbox.Message{}
		l.waiting = l.waiting[1:]
		g.line.waiting--
		g.line.bytes -= len(m.Payload)
		g.enter(l, now)
		g.queue(l)
		return m, left, true
	}
	return m, left, false
}

// evict takes all messages to an endpoint out of the line.
func (g *gate) evict(endpoint uuid.UUID) []outbox.Message {
	l := g.lanes[endpoint]
	if l == nil {
		return nil
	}
	left := l.waiting
	l.waiting = nil
	g.line.waiting -= len(left)
	for i := range left {
		g.line.bytes -= len(left[i].Payload)
		g.load.bytes -= loadOf(&left[i])
		if left[i].Standing.Trial {
			g.trials--
		}
	}
	g.forget(l)
	return left
}

// disband takes all messages out of the line.
func (g *gate) disband() (left []outbox.Message) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for endpoint := range g.lanes {
		left = append(left, g.evict(endpoint)...)
	}
	return left
}
