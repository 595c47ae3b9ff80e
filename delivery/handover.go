package delivery

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"attendee-relay/outbox"
)

const (
	// handoverTime is how long the transaction that leases a message may take, so that a whole request fits into the lease.
	handoverTime = 5 * time.Second
	// reserveTime is how long a place is kept for a message that is being written. A commit may wait for a synchronous standby,
	// and claims must not wait with it.
	reserveTime = time.Second
)

// handover takes messages from those who record them, under a lease from the start: they wait for no claim. It gives places away
// while the claim loop runs and where no older message waits for one. It implements outbox.Senders.
type handover struct {
	gate  *gate
	lease time.Duration
	// declines reports whether nothing may be sent for now.
	declines func() bool
	// late notes messages that could not be sent under their lease.
	late func(messages int)

	mu   sync.Mutex
	open bool
	// start sends a message that has its place; nil: before begin and after end.
	start func(outbox.Message)
	// kept are the reservations under way; idle is closed when there are none and will be none.
	kept map[*reservation]struct{}
	idle chan struct{}
}

func newHandover(gate *gate, timeout time.Duration, declines func() bool, late func(int)) *handover {
	return &handover{gate: gate, lease: timeout + recording + handoverTime, declines: declines, late: late,
		kept: map[*reservation]struct{}{}, idle: make(chan struct{})}
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
		if r.reserved[i] = h.gate.reserve(endpoint, r.since); r.reserved[i] {
			r.places[endpoint]++
		}
	}
	h.kept[r] = struct{}{}
	return r
}

// reservation is a number of places at endpoints. It implements outbox.Reservation.
type reservation struct {
	handover *handover
	since    time.Time
	reserved []bool
	// places are those that are still reserved.
	places map[uuid.UUID]int
}

// Reserved implements outbox.Reservation.
func (r *reservation) Reserved() (reserved []bool, lease time.Duration) {
	return r.reserved, r.handover.lease
}

// Send implements outbox.Reservation.
func (r *reservation) Send(messages []outbox.Message) {
	h := r.handover
	h.mu.Lock()
	defer h.mu.Unlock()
	late := 0
	for i := range messages {
		if h.start == nil || !r.take(&messages[i]) {
			late++
			continue
		}
		h.start(messages[i])
	}
	h.late(late)
	r.giveBack()
	delete(h.kept, r)
	if !h.open && len(h.kept) == 0 && h.start != nil {
		close(h.idle)
	}
}

// take gives a message a place that is reserved, or any other.
func (r *reservation) take(m *outbox.Message) bool {
	if r.places[m.Endpoint] > 0 {
		r.places[m.Endpoint]--
		return true
	}
	return r.handover.gate.take(m, time.Now())
}

func (r *reservation) giveBack() {
	for endpoint, n := range r.places {
		for range n {
			r.handover.gate.unreserve(endpoint)
		}
	}
	clear(r.places)
}
