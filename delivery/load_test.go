package delivery

import (
	"testing"
	"time"

	"attendee-relay/outbox"
)

func large(url string, bytes int) outbox.Message {
	m := newMessage(url)
	m.Payload = make([]byte, bytes)
	return m
}

// Large bodies count from the moment they are here until they are sent, given back or evicted; small ones never do.
func TestLoadCountsLargeBodies(t *testing.T) {
	t.Parallel()
	now, g := time.Now(), newGate(2, 1)
	here, there := large("https://here.example", 1<<20), large("https://there.example", 2<<20)
	waits := large("https://here.example", 3<<20)
	small := large("https://small.example", smallBody)
	want := func(what string, bytes int) {
		t.Helper()
		if g.load.bytes != bytes {
			t.Errorf("%s: %d bytes are counted, not %d", what, g.load.bytes, bytes)
		}
	}
	g.take(&here, now)
	g.take(&there, now)
	want("two in flight", 3<<20)
	if g.take(&waits, now) {
		t.Fatal("the third has a place")
	}
	want("and one in line", 6<<20)
	g.take(&small, now)
	want("and a small one", 6<<20)
	if r := g.room(now); r.largeBytes != loadMost-6<<20 || r.alone {
		t.Errorf("a claim may take %d bytes; alone: %v", r.largeBytes, r.alone)
	}
	g.release(&there, now, true)
	want("one was sent", 4<<20)
	g.disband()
	want("what was in line is given back", 1<<20)
	g.release(&here, now, true)
	want("all is gone", 0)
	if r := g.room(now); r.largeBytes != loadMost || !r.alone {
		t.Errorf("a claim may take %d bytes; alone: %v", r.largeBytes, r.alone)
	}
}

// Where a claim may have left large bodies behind, one that has been sent calls for another claim.
func TestSentLargeBodyCallsForAClaim(t *testing.T) {
	t.Parallel()
	now, g := time.Now(), newGate(100, 8)
	m := large("https://here.example", loadMost)
	m.Standing.Places = 8
	g.take(&m, now)
	g.claimed(outbox.ClaimRequest{Limit: 100, LargeBytes: loadMost, Alone: true}, []outbox.Message{m})
	if placed(g, &m, now) {
		t.Error("there is a place for a new message while large bodies take all the room")
	}
	if g.vacant() != 0 {
		t.Error("there is room for probes")
	}
	g.release(&m, now, true)
	select {
	case <-g.signal:
	default:
		t.Error("nothing calls for a claim")
	}
	if !placed(g, &m, now) || g.vacant() == 0 {
		t.Error("there is no place when the body is gone")
	}
}

// While large bodies wait, each that is sent makes room for the next one, and probes get theirs all the same.
func TestProbesFindRoomBesideLargeBodies(t *testing.T) {
	t.Parallel()
	now, g := time.Now(), newGate(100, 100)
	var flying []outbox.Message
	for range 20 {
		for left := g.room(now).largeBytes; left >= 4<<20; left -= 4 << 20 {
			m := large("https://here.example", 4<<20)
			g.take(&m, now)
			flying = append(flying, m)
		}
		if g.vacant() > 0 {
			return
		}
		g.release(&flying[0], now, true)
		flying = flying[1:]
	}
	t.Error("there is never room for a probe")
}

// What is given back or settled has let go of its body.
func TestBodiesAreLetGo(t *testing.T) {
	t.Parallel()
	for _, m := range bodiless([]outbox.Message{large("https://a.example", 10), large("https://b.example", 10)}) {
		if m.Payload != nil {
			t.Error("a body is kept")
		}
	}
}
