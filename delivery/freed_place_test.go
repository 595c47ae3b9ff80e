package delivery

import (
	"testing"
	"time"

	"attendee-relay/outbox"
)

func placed(g *gate, m *outbox.Message, now time.Time) bool {
	place, _ := g.reserve(m.Endpoint, now)
	return place
}

// A place that has just become free belongs to the older messages that the last claim left behind, of that endpoint or
// of any other.
func TestAFreedPlaceIsTheClaimLoops(t *testing.T) {
	t.Parallel()
	now, g := time.Now(), newGate(4, 2)
	here, there := newMessage("https://here.example"), newMessage("https://there.example")
	here.Standing.Places = 2
	busy := g.room(now).busy
	claimed := []outbox.Message{here, here}
	for i := range claimed {
		g.take(&claimed[i], now)
	}
	g.claimed(outbox.ClaimRequest{Limit: 4, Busy: busy}, claimed)
	g.release(&claimed[0], now, true)
	if placed(g, &here, now) {
		t.Error("a place that waiting messages of the endpoint may be claimed for is given away")
	}
	g.room(now) // a claim is under way
	if placed(g, &here, now) {
		t.Error("a place that waiting messages of the endpoint are being claimed for is given away")
	}
	g.claimed(outbox.ClaimRequest{Limit: 4, Busy: busy}, nil)
	if !placed(g, &here, now) {
		t.Error("when nothing is left to be claimed there is no place")
	}
	g.unreserve(here.Endpoint, 1, 0)
	if !placed(g, &there, now) {
		t.Error("another endpoint has no place")
	}
	g.claimed(outbox.ClaimRequest{Limit: 2, Busy: busy}, claimed)
	if placed(g, &there, now) {
		t.Error("a place that waiting messages are claimed for is given away")
	}
}
