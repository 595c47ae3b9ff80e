package outbox

import (
	_ "embed"
	"fmt"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"attendee-relay/internal/bytesize"
)

//go:embed sql/messages_add_unsent.sql
var messagesAddUnsentSQL string

// unsent are new messages that are dead from the start, because their bodies are larger than OUTBOX_MAX_BODY.
type unsent struct {
	// messages have no bodies.
	messages messages
	sizes    []int
}

// unsend adds a message that will not be sent.
func (m *messages) unsend(systemID string, a acceptance, p *payload) {
	if m.unsent == nil {
		m.unsent = &unsent{}
	}
	bare := *p
	bare.body, bare.excess = nil, 0
	m.unsent.messages.append(systemID, a, &bare)
	m.unsent.sizes = append(m.unsent.sizes, p.excess)
}

// queue adds the statement that writes them.
func (u *unsent) queue(q *pgx.Batch, maxBody bytesize.Size) {
	if u == nil {
		return
	}
	reasons := make([]string, len(u.sizes))
	for i, size := range u.sizes {
		reasons[i] = fmt.Sprintf("body_too_large: the body has %d bytes, and OUTBOX_MAX_BODY allows %d", size, int64(maxBody))
	}
	m := &u.messages
	q.Queue(messagesAddUnsentSQL, m.ids, m.identities, m.keys, m.deliveryKeys, m.lsns, m.times, m.attendees, m.events,
		m.endpoints, m.urls, m.secrets, reasons)
}

// report tells of those that have been written.
func (u *unsent) report(log *zap.Logger) {
	if u == nil {
		return
	}
	for i, size := range u.sizes {
		log.Warn("a message is not sent: its body is larger than OUTBOX_MAX_BODY", zap.String("message_id", u.messages.ids[i]),
			zap.String("reason", "body_too_large"), zap.Int("bytes", size))
	}
}
