package delivery

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"attendee-relay/outbox"
)

const (
	// jitter spreads the retries of messages that failed together over this part of the wait to either side.
	jitter = 0.2
	// maxRetryAfter is the longest wait that a receiver can ask for.
	maxRetryAfter = 24 * time.Hour
)

// policy decides the outcome of an attempt. It is pure: randomness and the time come in.
type policy struct {
	schedule []time.Duration
	// random returns a number in [0, 1).
	random func() float64
}

// outcome decides the outcome of a message after an exchange. A schedule of n waits makes n+1 attempts, besides those
// that use no step of it.
func (p policy) outcome(m *outbox.Message, x Exchange, now time.Time) outbox.Outcome {
	switch {
	case x.fate == delivered:
		return outbox.Delivered(x.Attempt)
	case x.fate == held:
		return outbox.Gone(x.Attempt)
	case x.fate == undone:
		return outbox.Interrupted(p.spread(p.schedule[0]), x.Attempt)
	case x.fate == unsent:
		// Also of a probe it uses up a step, so that the next message becomes the probe one day.
		x.fate = retried
		plain := *m
		plain.Standing.Probe = false
		return p.outcome(&plain, x, now).Blameless()
	case m.Standing.Probe:
		return outbox.Waits(p.asked(x, now), x.Attempt)
	case m.Step >= len(p.schedule):
		return outbox.Dead(x.Attempt)
	}
	asked := p.asked(x, now)
	return outbox.RetryIn(max(p.spread(p.schedule[m.Step]), asked), x.Attempt).Asking(asked)
}

// asked is how long the receiver asks to be left alone, which only a 429 or a 503 can.
func (p policy) asked(x Exchange, now time.Time) time.Duration {
	if x.Attempt.Status == http.StatusTooManyRequests || x.Attempt.Status == http.StatusServiceUnavailable {
		return retryAfter(x.RetryAfter, now)
	}
	return 0
}

func (p policy) spread(step time.Duration) time.Duration {
	return time.Duration(float64(step) * (1 - jitter + 2*jitter*p.random()))
}

// retryAfter reads a Retry-After header, seconds or a date. An invalid value, or a date in the past, is no wait at all;
// one that is too long, or too large for a number, is the longest wait.
func retryAfter(header string, now time.Time) time.Duration {
	header = strings.TrimSpace(header)
	if header == "" {
		return 0
	}
	if strings.Trim(header, "0123456789") == "" {
		seconds, err := strconv.ParseUint(header, 10, 64)
		if err != nil || seconds > uint64(maxRetryAfter/time.Second) {
			return maxRetryAfter
		}
		return time.Duration(seconds) * time.Second
	}
	date, err := http.ParseTime(header)
	if err != nil {
		return 0
	}
	return min(max(date.Sub(now), 0), maxRetryAfter) // Sub stops at the largest Duration
}
