package outbox

import (
	_ "embed"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"attendee-relay/internal/bytesize"
	"attendee-relay/internal/secret"
)

//go:embed sql/loops.sql
var loopsSQL string

// Senders send messages of this process as soon as they are recorded: these messages are leased as they are written,
// and need no claim. It is safe for concurrent use.
type Senders interface {
	// Reserve keeps a place for one message to each of the endpoints where it can. It never blocks.
	Reserve(endpoints []uuid.UUID) Reservation
}

// Reservation is what Senders keep for the messages of one transaction.
type Reservation interface {
	// Reserved returns which of the endpoints have a place, and how long a message may be leased for it.
	Reserved() (reserved []bool, lease time.Duration)
	// Send sends messages that have been leased for reserved places and gives all other places back. It does not block.
	// Either Send or Drop is called, once.
	Send(messages []Message)
	// Drop gives all places back, and the messages that have been leased, if they exist.
	Drop(messages []Message)
}

// handover decides about the messages that one transaction writes: those for which a sender of this process has a place
// are leased by the transaction and sent when it has committed; all others wait for a claim.
type handover struct {
	senders    Senders
	maxBody    bytesize.Size
	log        *zap.Logger
	deployment string
	messages   *messages
	writer     *writer
	// reservation is nil where there are no senders.
	reservation Reservation
	// places are the messages, by their id, that a place is reserved for.
	places map[string]int
	lease  time.Duration
	token  uuid.UUID
	ends   time.Time
	// leased are those that the transaction leased, by their number in the outbox.
	leased map[int]int64
	// skipped are the ids of messages that ended at once, for want of a URL.
	skipped []string
	unsent  *Unsent
}

func (r *Recorder) handOver(m *messages) *handover {
	return &handover{unsent: r.unsent, senders: r.senders, maxBody: r.config.MaxBody, log: r.log,
		deployment: r.deployment, messages: m, writer: r.writer,
		places: map[string]int{}, token: uuid.New(), leased: map[int]int64{}}
}

// reserve keeps places for the messages. It is called when the transaction has begun, so that nothing is kept while the
// transaction waits for its turn, and before the statement is sent: the lease, which counts from that, never ends
// earlier in the database than here.
func (h *handover) reserve() {
	var with []int
	var endpoints []uuid.UUID
	for i, endpoint := range h.messages.endpoints {
		if endpoint.Valid {
			with, endpoints = append(with, i), append(endpoints, endpoint.Bytes)
		}
	}
	if len(endpoints) == 0 || h.senders == nil {
		return
	}
	h.reservation = h.senders.Reserve(endpoints)
	reserved, lease := h.reservation.Reserved()
	h.lease, h.ends = lease, time.Now().Add(lease)
	for n, ok := range reserved {
		if ok {
			h.places[h.messages.ids[with[n]]] = with[n]
		}
	}
}

// queue adds the statement that writes the messages; plain: none of them is there yet.
func (h *handover) queue(b *pgx.Batch, plain bool) {
	h.writer.utf8(b)
	h.messages.oversize.queue(b, h.maxBody)
	if len(h.messages.ids) == 0 {
		return
	}
	h.reserve()
	ids := make([]string, 0, len(h.places))
	for id := range h.places {
		ids = append(ids, id)
	}
	b.Queue(loopsSQL)
	h.messages.queue(b, plain, ids, h.token, h.lease, h.deployment).Query(func(rows pgx.Rows) error {
		var id string
		var row *int64
		_, err := pgx.ForEachRow(rows, []any{&id, &row}, func() error {
			if row == nil {
				h.skipped = append(h.skipped, id)
			} else {
				h.leased[h.places[id]] = *row
			}
			return nil
		})
		return err
	})
}

// settle sends the messages that the transaction leased, if it committed, and reports whether messages are left to be
// claimed. The transaction may have committed although err says otherwise: then the leased messages are given back.
func (h *handover) settle(err error) (left bool) {
	if err == nil {
		h.messages.oversize.report(h.unsent, h.log)
	}
	var leased []Message
	for i := range h.messages.ids {
		if row, ok := h.leased[i]; ok {
			leased = append(leased, h.message(i, row))
		}
	}
	switch {
	case h.reservation == nil:
	case err != nil:
		h.reservation.Drop(leased)
	default:
		h.reservation.Send(leased)
	}
	if err == nil {
		for _, id := range h.skipped {
			h.unsent.note(NoURL, id, uuid.Nil)
		}
	}
	return err == nil && len(leased) < len(h.messages.ids)
}

func (h *handover) message(i int, row int64) Message {
	m := h.messages
	message := Message{
		Row: row, ID: m.ids[i], Endpoint: m.endpoints[i].Bytes, URL: m.urls[i].String, Payload: m.payloads[i],
		CommittedAt: m.committed[i], Token: h.token, LeaseEnds: h.ends, ReadAt: h.ends.Add(-h.lease),
	}
	if m.secrets[i].Valid {
		message.Secret, message.HadSecret = secret.New(m.secrets[i].String), true
	}
	if m.headers[i].Valid {
		message.Headers = secret.New(m.headers[i].String)
	}
	return message
}
