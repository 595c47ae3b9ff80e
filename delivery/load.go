package delivery

import "attendee-relay/outbox"

const (
	// smallBody is how long a body may be that does not count as load: there are never more of them than requests in
	// flight and messages in line, so they pass where large ones have to wait.
	smallBody = 64 << 10
	// loadMost bounds what large bodies take of memory, in line and in flight. One that is larger by itself is alone.
	loadMost = 16 << 20
)

// load counts the large bodies that are in memory, in bytes. The gate's lock guards it.
type load struct {
	bytes int
	// more: the last claim may have left large ones behind.
	more bool
	// probing: probes found no room for their bodies; until they do, claims leave room free.
	probing bool
}

func loadOf(m *outbox.Message) int {
	if len(m.Payload) <= smallBody {
		return 0
	}
	return len(m.Payload)
}

// left is how many bytes of large bodies a claim may take; alone: one may be as large as it is, for there is no other.
func (l *load) left() (bytes int, alone bool) {
	return max(0, l.most()-l.bytes), l.bytes == 0 && !l.probing
}

func (l *load) most() int {
	if l.probing {
		return loadMost - outbox.ProbeBytes
	}
	return loadMost
}

// probe reports whether there is room for what probes bring. Where there is none, the next claims see to it: others
// that wait would take every place that becomes free, and an endpoint that is back would stay paused for as long as
// they wait.
func (l *load) probe() bool {
	l.probing = l.bytes > 0 && l.bytes > loadMost-outbox.ProbeBytes
	return !l.probing
}

// claimed notes whether a claim with this bound may have left large ones behind.
func (l *load) claimed(req outbox.ClaimRequest, messages []outbox.Message) {
	l.more = req.LargeBytes < loadMost
	for i := range messages {
		l.more = l.more || loadOf(&messages[i]) > 0
	}
}

// bodiless are messages that will not be sent, without their bodies.
func bodiless(messages []outbox.Message) []outbox.Message {
	for i := range messages {
		messages[i].Payload = nil
	}
	return messages
}
