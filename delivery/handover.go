package delivery

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"attendee-relay/outbox"
)

// reserveTime is how long a place is kept for a message that is being written. A commit may wait for a synchronous
// standby, and claims must not wait with it.
const reserveTime = time.Second

// handover takes messages from those who record them, under a lease from the start: they need no claim. It gives away
// places and room in line while the claim loop runs, and only if no older message waits for them. It implements
// outbox.Senders.
type handover struct {
	gate  *gate
	lease time.Duration
	// declines reports whether nothing may be sent for now.
	declines func() bool
	// leave has leased messages given back.
	leave func(...outbox.Message)

	mu   sync.Mutex
	open bool
	// start sends a message that has its place; nil before begin and after end. follow sends messages that wait in line if
	// there are places.
	start  func(outbox.Message)
	follow func()
	// kept are the reservations under way; idle is closed when there are none and will be none.
	kept map[*reservation]struct{}
	idle chan struct{}
}

func newHandover(gate *gate, lease time.Duration, declines func() bool, leave func(...outbox.Message)) *handover {
	return &handover{gate: gate, follow: func() {}, lease: lease, declines: declines, leave: leave,
		kept: map[*reservation]struct{}{}, idle: make(chan struct{})}
}

func (h *handover) begin(start func(outbox.Message), follow func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open, h.start, h.follow = true, start, follow
}

// end stops giving places away, and waits until the reservations under way have ended, or ctx has. Nothing is started
// later.
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
	r := &reservation{handover: h, since: time.Now(), places: map[uuid.UUID]int{}, rooms: map[uuid.UUID]int{},
		reserved: make([]bool, len(endpoints))}
	if !h.open || h.declines() {
		return r
	}
	for i, endpoint := range endpoints {
		r.reserved[i] = h.gate.answers(endpoint) && r.reserve(endpoint)
	}
	h.kept[r] = struct{}{}
	return r
}
