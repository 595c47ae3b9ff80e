package outbox

import (
	"time"

	"github.com/google/uuid"

	"attendee-relay/internal/secret"
)

// State is the state of a message. Each is a constant here, a CHECK in the schema, an arrow in docs/ARCHITECTURE.md and
// a constructor of Outcome; all four change together.
type State string

const (
	// StatePending messages wait to be sent, or are in flight under a lease. Record makes them, Settle moves them on.
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
	// Secret signs this message, as the row gave it: several, separated by white space, or a blank one, which cannot sign.
	// If it is empty, the relay's own signing secrets do.
	Secret secret.String
	// HadSecret: its row has a secret or had one before, so it is never sent unsigned.
	HadSecret bool
	// Headers are sent with it: a JSON object as the row gave it, not looked at yet. Empty: none.
	Headers secret.String
	Payload []byte
	// Attempts counts the HTTP attempts recorded before this one, Step the waits of the retry schedule that are used up.
	Attempts, Step int
	// CommittedAt is when the acceptance was committed; zero for a baseline or resync.
	CommittedAt time.Time
	// Token is the lease's; Settle is guarded by it.
	Token uuid.UUID
	// LeaseEnds is the end of the lease by this process's monotonic clock, read before the claim was sent, or the
	// statement that wrote it: it is never later than the database's.
	LeaseEnds time.Time
	// Retry: it was tried in vain or moved from another URL.
	Retry bool
	// ReadAt is when its payload was read from the application's tables, by this process's clock; zero: a moment ago.
	ReadAt time.Time
	// Elders: messages of earlier acceptances of the same attendee have not ended, probably at another endpoint.
	Elders bool
	// Standing is how its endpoint stood when the message was claimed.
	Standing Standing
}

// Stale reports whether URL, secret and headers have to be asked for again before the message is sent: it was tried
// before or has waited for long, its endpoint was paused, or an older message of the attendee may have to go first to
// its endpoint.
func (m *Message) Stale() bool {
	return m.mayHaveMoved() || m.Elders
}

func (m *Message) mayHaveMoved() bool {
	return m.Attempts > 0 || m.Retry || m.Standing.Probe || m.Standing.Recovering || m.old(time.Now())
}

// knownFor is how long a row of the payload query is fresh enough to be sent: a little less than the promised minute,
// because sending takes time.
const knownFor = 50 * time.Second

// old reports whether the payload was read long ago, by the wall clock as well: the monotonic one stops in a
// suspended machine.
func (m *Message) old(now time.Time) bool {
	return !m.ReadAt.IsZero() && max(now.Sub(m.ReadAt), now.Round(0).Sub(m.ReadAt.Round(0))) > knownFor
}

// Standing is the state of an endpoint.
type Standing struct {
	// Trial: it has not answered with a 2xx yet, or not since its last failure.
	Trial bool
	// Places is how many messages of the endpoint the claimer may hold in all.
	Places int
	// Recovering: it came back after a pause, Recovered ago.
	Recovering bool
	Recovered  time.Duration
	// Probe: it is paused, and this message finds out whether it is back.
	Probe bool
}

// Well reports whether the endpoint answered last and was not paused of late.
func (s Standing) Well() bool { return !s.Trial && !s.Recovering && !s.Probe }

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

// Outcome is the result of an attempt for a message, and what the attempt says about the endpoint. It is made by one of
// its constructors, so that a state and its details always fit together.
type Outcome struct {
	state   State
	attempt Attempt
	wait    time.Duration
	// stepped: it uses up a step of the retry schedule.
	stepped bool
	effect  effect
	// asked is how long the receiver asked to be left alone.
	asked time.Duration
}

// effect is what an attempt says of its endpoint.
type effect int

const (
	effectNone effect = iota
	effectAnswered
	effectFailed
	effectGone
)

// Delivered settles a message: the attempt was answered with a 2xx.
func Delivered(a Attempt) Outcome {
	return Outcome{state: StateDelivered, attempt: a, effect: effectAnswered}
}

// RetryIn keeps a message pending; the next attempt, the schedule's next step, is due after wait, by the database's
// clock.
func RetryIn(wait time.Duration, a Attempt) Outcome {
	return Outcome{state: StatePending, attempt: a, wait: wait, stepped: true, effect: effectFailed}
}

// Dead gives a message up.
func Dead(a Attempt) Outcome { return Outcome{state: StateDead, attempt: a, effect: effectFailed} }

// Waits keeps a message pending without using up a step of the schedule: its endpoint is paused, and the attempt was a
// probe. The next probe is not before wait is over.
func Waits(wait time.Duration, a Attempt) Outcome {
	return Outcome{state: StatePending, attempt: a, wait: wait, asked: wait, effect: effectFailed}
}

// Gone keeps a message pending and disables its endpoint: the attempt was answered 410.
func Gone(a Attempt) Outcome { return Outcome{state: StatePending, attempt: a, effect: effectGone} }

// Interrupted keeps a message pending: the relay ended the attempt itself, which says nothing of message or endpoint.
func Interrupted(wait time.Duration, a Attempt) Outcome {
	return Outcome{state: StatePending, attempt: a, wait: wait}
}

// Blameless is the same outcome, which says nothing of the endpoint: no request was made.
func (o Outcome) Blameless() Outcome {
	o.effect = effectNone
	return o
}

// Asking is the same outcome of an attempt whose receiver asked to be left alone for that long.
func (o Outcome) Asking(wait time.Duration) Outcome {
	o.asked = wait
	return o
}

// State returns the state the message goes to.
func (o Outcome) State() State { return o.state }

// Attempt returns the attempt that the outcome is about.
func (o Outcome) Attempt() Attempt { return o.attempt }

// Wait returns how long a message that stays pending waits.
func (o Outcome) Wait() time.Duration { return o.wait }

// Settlement is a message with its outcome.
type Settlement struct {
	Message Message
	Outcome Outcome
}
