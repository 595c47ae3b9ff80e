package outbox

import (
	_ "embed"
	"fmt"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"attendee-relay/internal/bytesize"
)

//go:embed sql/messages_add_oversize.sql
var messagesAddOversizeSQL string

// oversize are new messages that are dead from the start, because their bodies are larger than OUTBOX_MAX_BODY.
type oversize struct {
	// messages have no bodies.
	messages messages
	sizes    []int
}

// addOversize adds a message that will not be sent.
func (m *messages) addOversize(systemID string, a acceptance, p *payload) {
	if m.oversize == nil {
		m.oversize = &oversize{}
	}
	bare := *p
	bare.body, bare.excess = nil, 0
	m.oversize.messages.append(systemID, a, &bare)
	m.oversize.sizes = append(m.oversize.sizes, p.excess)
}

// queue adds the statement that writes them.
func (o *oversize) queue(q *pgx.Batch, maxBody bytesize.Size) {
	if o == nil {
		return
	}
	reasons := make([]string, len(o.sizes))
	for i, size := range o.sizes {
		reasons[i] = fmt.Sprintf("body_too_large: the body has %d bytes, and OUTBOX_MAX_BODY allows %d", size, int64(maxBody))
	}
	m := &o.messages
	q.Queue(messagesAddOversizeSQL, m.ids, m.identities, m.keys, m.deliveryKeys, m.lsns, m.times, m.attendees, m.events,
		m.endpoints, m.urls, m.secrets, reasons)
}

// report tells of those that have been written.
func (o *oversize) report(u *Unsent, log *zap.Logger) {
	if o == nil {
		return
	}
	for i, size := range o.sizes {
		id := o.messages.ids[i]
		log.Warn("a body is larger than OUTBOX_MAX_BODY", zap.String("message_id", id), zap.Int("bytes", size))
		u.note(BodyTooLarge, id, o.messages.endpoints[i].Bytes)
	}
}
