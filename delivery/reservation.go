package delivery

import (
	"time"

	"github.com/google/uuid"

	"attendee-relay/outbox"
)

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
	for i := range messages {
		if h.start == nil || !h.answering[messages[i].Endpoint] || !r.take(&messages[i]) {
			h.leave(messages[i])
			continue
		}
		h.start(messages[i])
	}
	r.end()
}

// Drop implements outbox.Reservation.
func (r *reservation) Drop(messages []outbox.Message) {
	h := r.handover
	h.mu.Lock()
	defer h.mu.Unlock()
	h.leave(messages...)
	r.end()
}

func (r *reservation) end() {
	h := r.handover
	r.giveBack()
	_, kept := h.kept[r]
	delete(h.kept, r)
	if kept && !h.open && len(h.kept) == 0 && h.start != nil {
		close(h.idle)
	}
}

// take gives a message a place that is reserved, or any other that nobody waits for.
func (r *reservation) take(m *outbox.Message) bool {
	if r.places[m.Endpoint] > 0 {
		r.places[m.Endpoint]--
		return true
	}
	return r.handover.gate.reserve(m.Endpoint, time.Now())
}

func (r *reservation) giveBack() {
	for endpoint, n := range r.places {
		for range n {
			r.handover.gate.unreserve(endpoint)
		}
	}
	clear(r.places)
}
