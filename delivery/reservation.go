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
	// places, and rooms in the line, are those that are still reserved.
	places, rooms map[uuid.UUID]int
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
		if m := &messages[i]; h.start == nil || !h.gate.answers(m.Endpoint) || !r.secure(m.Endpoint) {
			h.leave(*m)
		} else if r.spend(m) {
			h.start(*m)
		}
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

// reserve keeps a place, or room in the line.
func (r *reservation) reserve(endpoint uuid.UUID) bool {
	place, room := r.handover.gate.reserve(endpoint, time.Now())
	if place {
		r.places[endpoint]++
	}
	if room {
		r.rooms[endpoint]++
	}
	return place || room
}

// secure makes sure that something is reserved still, or again if nobody waits for it.
func (r *reservation) secure(endpoint uuid.UUID) bool {
	return r.places[endpoint] > 0 || r.rooms[endpoint] > 0 || r.reserve(endpoint)
}

// spend gives a message what is reserved, and reports whether it has a place.
func (r *reservation) spend(m *outbox.Message) bool {
	if r.places[m.Endpoint] > 0 {
		r.places[m.Endpoint]--
		r.handover.gate.carry(m)
		return true
	}
	r.rooms[m.Endpoint]--
	return r.handover.gate.fill(m, time.Now())
}

// giveBack frees what is still reserved, for those in line.
func (r *reservation) giveBack() {
	for endpoint, n := range r.places {
		r.handover.gate.unreserve(endpoint, n, r.rooms[endpoint])
		delete(r.rooms, endpoint)
	}
	for endpoint, n := range r.rooms {
		r.handover.gate.unreserve(endpoint, 0, n)
	}
	clear(r.places)
	clear(r.rooms)
	r.handover.follow()
}
