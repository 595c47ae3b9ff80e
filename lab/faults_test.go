package lab

import (
	"fmt"
	"syscall"
	"time"
)

// bySignal is the status of a process that a signal ended.
const bySignal = -1

// kinds are all faults and how often each is drawn.
var kinds = []kind{
	{"kill", 22, kill},
	{"term", 6, term},
	{"freeze", 8, freeze},
	{"crash", 6, crash},
	{"restart", 3, restart},
	{"terminate", 10, terminate},
	{"cut", 9, cut},
	{"stall", 8, stall},
	{"full", 8, fillTable},
	{"lock", 6, lockTable},
	{"receiver", 14, disturb},
	{"slot", 2, loseSlot},
}

// well draws a relay that no fault has struck.
func (l *laboratory) well() (*relay, bool) {
	var whole []*relay
	for _, r := range l.relays {
		if !r.struck {
			whole = append(whole, r)
		}
	}
	if len(whole) == 0 {
		return nil, false
	}
	r := whole[l.random.IntN(len(whole))]
	r.struck = true
	return r, true
}

// again starts a relay that ended.
func (l *laboratory) again(r *relay) func() bool {
	return func() bool {
		r.start(l.t)
		r.struck = false
		return true
	}
}

// kill ends a relay as a power cut would, in whatever it was doing.
func kill(l *laboratory) (outcome, bool) {
	r, ok := l.well()
	if !ok {
		return outcome{}, false
	}
	r.retire(l.t)
	return outcome{relay: r.number, lasts: l.between(0, 2*time.Second), heal: l.again(r)}, true
}

// term asks a relay to end; it has SHUTDOWN_TIMEOUT and a little more to do so. A process that has logged nothing yet
// may be ended by the signal itself: the Go runtime may still be starting.
func term(l *laboratory) (outcome, bool) {
	r, ok := l.well()
	if !ok {
		return outcome{}, false
	}
	silent := r.Stderr() == ""
	r.Signal(l.t, syscall.SIGTERM)
	asked := time.Now()
	return outcome{relay: r.number, heal: func() bool {
		select {
		case <-r.Ended():
			if status := r.Exit(l.t, time.Second); status != 0 && (!silent || status != bySignal) {
				l.t.Errorf("relay %d ended with status %d after SIGTERM at %s", r.number, status, l.journal.at(asked))
			}
			r.retire(l.t)
			return l.again(r)()
		default:
			if time.Since(asked) > 20*time.Second {
				l.t.Errorf("relay %d did not end within 20 s of SIGTERM at %s", r.number, l.journal.at(asked))
				r.retire(l.t)
				return l.again(r)()
			}
			return false
		}
	}}, true
}

// freeze stops a relay for longer than the takeover, now and then for longer than its leases.
func freeze(l *laboratory) (outcome, bool) {
	r, ok := l.well()
	if !ok {
		return outcome{}, false
	}
	r.Freeze(l.t)
	lasts := l.between(takeover, 3*takeover)
	if l.random.IntN(8) == 0 {
		lasts = 20 * time.Second
	}
	return outcome{relay: r.number, lasts: lasts, heal: func() bool {
		r.Signal(l.t, syscall.SIGCONT)
		r.struck = false
		return true
	}}, true
}

// disturb puts an endpoint out of order.
func disturb(l *laboratory) (outcome, bool) {
	endpoint, how := l.random.IntN(endpoints), manners[l.random.IntN(len(manners))]
	l.receiver.behave(endpoint, how)
	return outcome{relay: everybody, detail: fmt.Sprintf("%d %s", endpoint, how),
		lasts: l.between(500*time.Millisecond, 6*time.Second),
		heal: func() bool {
			l.receiver.behave(endpoint, well)
			return true
		}}, true
}
