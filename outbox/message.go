package outbox

import (
	"time"

	"github.com/google/uuid"

	"attendee-relay/internal/secret"
)

// State is where a message stands. A state is this constant, a CHECK in the schema, an arrow in docs/ARCHITECTURE.md and
// a constructor of Outcome; all four change together.
type State string

const (
	// StatePending messages are to be sent, or are in flight under a lease. Record makes them, Settle moves them on.
	StatePending State = "pending"
	// StateDelivered messages were answered with a 2xx. Final.
	StateDelivered State = "delivered"
	// StateDead messages were given up or discarded. Only an operator's retry makes them pending again.
	StateDead State = "dead"
	// StateSkipped messages had no URL to go to.
	StateSkipped State = "skipped"
)

// Message is one leased message to send: nobody else sends it before Lease runs out.
type Message struct {
	// Row is the message's number in the outbox, in the order in which messages were written.
	Row int64
	// ID is the deterministic message id, sent as webhook-id.
	ID string
	// Endpoint identifies the exact URL; it is safe to log, the URL is not.
	Endpoint uuid.UUID
	URL      string
	// Secret signs this message; empty: the relay's own signing secrets do.
	Secret  secret.String
	Payload []byte
	// Attempts counts the HTTP attempts recorded before this one.
	Attempts int
	// CommittedAt is when the acceptance was committed; zero for a baseline or resync.
	CommittedAt time.Time
	// Token is the lease's; Settle is guarded by it.
	Token uuid.UUID
	// LeaseEnds is when the lease ends, by this process's monotonic clock, read before the claim was sent: it never
	// ends later than the database says.
	LeaseEnds time.Time
}

// Attempt is what happened in one HTTP attempt.
type Attempt struct {
	StartedAt time.Time
	Duration  time.Duration
	// Status is the HTTP status; 0: there was no answer.
	Status int
	// Error says why the attempt failed, without URL, query or body; empty for a success.
	Error string
	// Response is the start of the answer's body, at most 2 KiB of printable text.
	Response string
}

// Outcome is what becomes of a message after an attempt. It is made by one of its constructors, so that a state and its
// details always fit together.
type Outcome struct {
	state   State
	attempt Attempt
	wait    time.Duration
}

// Delivered settles a message: the attempt was answered with a 2xx.
func Delivered(a Attempt) Outcome { return Outcome{state: StateDelivered, attempt: a} }

// RetryIn keeps a message pending; the next attempt is due after wait, by the database's clock.
func RetryIn(wait time.Duration, a Attempt) Outcome {
	return Outcome{state: StatePending, attempt: a, wait: wait}
}

// Dead gives a message up.
func Dead(a Attempt) Outcome { return Outcome{state: StateDead, attempt: a} }

// State returns the state the message goes to.
func (o Outcome) State() State { return o.state }

// Attempt returns the attempt the outcome rests on.
func (o Outcome) Attempt() Attempt { return o.attempt }

// Wait returns how long a message that stays pending waits.
func (o Outcome) Wait() time.Duration { return o.wait }

// Settlement is a message with its outcome.
type Settlement struct {
	Message Message
	Outcome Outcome
}
