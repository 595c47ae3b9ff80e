package delivery

import (
	"sync"
	"time"

	"github.com/google/uuid"

	"attendee-relay/outbox"
)

// unrecorded are the messages with an attempt of this process that is under way, or not recorded yet. If their leases
// end meanwhile, because the process stood still or the database did not answer, a claim returns them again: they are
// not sent once more, and the results of their attempts are recorded under the new leases.
type unrecorded struct {
	mu       sync.Mutex
	messages map[string]*hold
}

// hold is a message's entry. token is that of its last lease. ended: its attempt is recorded, or was refused; the entry
// is kept for a claim that may have found the message before that.
type hold struct {
	token            uuid.UUID
	ends             time.Time
	ended, delivered bool
}

func newUnrecorded() *unrecorded { return &unrecorded{messages: map[string]*hold{}} }

// begin notes that an attempt begins.
func (u *unrecorded) begin(m *outbox.Message) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.messages[m.ID] = &hold{token: m.Token, ends: m.LeaseEnds}
}

// cancel notes that no attempt was made after all, and returns the message under its last lease.
func (u *unrecorded) cancel(m outbox.Message) outbox.Message {
	u.mu.Lock()
	defer u.mu.Unlock()
	if of := u.messages[m.ID]; of != nil {
		m.Token, m.LeaseEnds = of.token, of.ends
		delete(u.messages, m.ID)
	}
	return m
}

// forget lets go of those that ended. It is called before a claim: this one does not find them.
func (u *unrecorded) forget() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for id, of := range u.messages {
		if of.ended {
			delete(u.messages, id)
		}
	}
}

// apart removes the held messages from those that a claim has returned. A message whose attempt failed and ended while
// it was claimed is due for a new one.
func (u *unrecorded) apart(messages []outbox.Message) (others []outbox.Message, again int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for i := range messages {
		m := &messages[i]
		of := u.messages[m.ID]
		if of == nil || of.ended && !of.delivered {
			others = append(others, *m)
			continue
		}
		of.token, of.ends = m.Token, m.LeaseEnds
		again++
	}
	return others, again
}

// renew puts outcomes under the last leases of their messages.
func (u *unrecorded) renew(batch []outbox.Settlement) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for i := range batch {
		if of := u.messages[batch[i].Message.ID]; of != nil {
			batch[i].Message.Token, batch[i].Message.LeaseEnds = of.token, of.ends
		}
	}
}

// end records that outcomes are recorded or refused, and returns the messages of which a claim took a new lease
// meanwhile: nobody holds it any more.
func (u *unrecorded) end(batch []outbox.Settlement) (left []outbox.Message) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for i := range batch {
		m := batch[i].Message
		of := u.messages[m.ID]
		if of == nil {
			continue
		}
		of.ended, of.delivered = true, batch[i].Outcome.State() == outbox.StateDelivered
		if of.token != m.Token && !of.delivered {
			m.Token, m.LeaseEnds = of.token, of.ends
			left = append(left, m)
		}
	}
	return left
}
