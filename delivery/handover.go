package delivery

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"attendee-relay/outbox"
)

// reserveTime is how long a place is kept for a message that is being written. A commit may wait for a synchronous standby, and
// claims must not wait with it.
const reserveTime = time.Second

// maxAnswering bounds how many endpoints are known; more start anew.
const maxAnswering = 100_000

// handover takes messages from those who record them, under a lease from the start: they wait for no claim. It gives places away
// while the claim loop runs and where no older message waits for one. It implements outbox.Senders.
type handover struct {
	gate  *gate
	lease time.Duration
	// declines reports whether nothing may be sent for now.
	declines func() bool
	// leave has leased messages given back.
	leave func(...outbox.Message)

	mu   sync.Mutex
	open bool
	// start sends a message that has its place; nil: before begin and after end.
	start func(outbox.Message)
	// kept are the reservations under way; idle is closed when there are none and will be none.
	kept map[*reservation]struct{}
	idle chan struct{}
	// answering are the endpoints whose last attempt by this process was answered with a 2xx. The others get nothing by hand, and
	// no place is kept for them that probes and retries need.
	answering map[uuid.UUID]bool
}

func newHandover(gate *gate, lease time.Duration, declines func() bool, leave func(...outbox.Message)) *handover {
	return &handover{gate: gate, lease: lease, declines: declines, leave: leave,
		kept: map[*reservation]struct{}{}, idle: make(chan struct{}), answering: map[uuid.UUID]bool{}}
}

// judge notes how an attempt ended.
func (h *handover) judge(endpoint uuid.UUID, answered bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case !answered:
		delete(h.answering, endpoint)
	case !h.answering[endpoint]:
		if len(h.answering) >= maxAnswering {
			clear(h.answering)
		}
		h.answering[endpoint] = true
	}
}

func (h *handover) begin(start func(outbox.Message)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open, h.start = true, start
}

// end gives no more places away, and waits until the reservations under way have ended, or ctx has. Nothing is started later.
func (h *handover) end(ctx context.Context) {
	h.mu.Lock()
	h.open = false
	if len(h.kept) == 0 {
		close(h.idle)
	}
	h.mu.Unlock()
	select {
	case <-h.idle:
	case <-ctx.Done():
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.start = nil
}

// expire gives the places back that have been reserved for long: whoever comes then has to find one.
func (h *handover) expire(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for r := range h.kept {
		if now.Sub(r.since) >= reserveTime {
			r.giveBack()
		}
	}
}

// Reserve implements outbox.Senders.
func (h *handover) Reserve(endpoints []uuid.UUID) outbox.Reservation {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := &reservation{handover: h, since: time.Now(), places: map[uuid.UUID]int{}, reserved: make([]bool, len(endpoints))}
	if !h.open || h.declines() {
		return r
	}
	for i, endpoint := range endpoints {
		if r.reserved[i] = h.answering[endpoint] && h.gate.reserve(endpoint, r.since); r.reserved[i] {
			r.places[endpoint]++
		}
	}
	h.kept[r] = struct{}{}
	return r
}
