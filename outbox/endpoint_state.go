package outbox

import (
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"attendee-relay/internal/weburl"
)

// EndpointState is the health of an endpoint; the names are fixed by the public contract, section 6.
type EndpointState string

// The states that this version knows.
const (
	// EndpointUnknown: it has neither failed nor given a 2xx yet.
	EndpointUnknown EndpointState = "unknown"
	// EndpointHealthy: it has not failed since its last 2xx.
	EndpointHealthy EndpointState = "healthy"
	// EndpointFailing: it has failed since its last 2xx, and is still tried.
	EndpointFailing EndpointState = "failing"
	// EndpointPaused: it failed too often in a row; only probes are sent.
	EndpointPaused EndpointState = "paused"
	// EndpointDisabled: it answered 410; nothing is sent.
	EndpointDisabled EndpointState = "disabled"
)

// byBreaker says of a paused endpoint that its failures paused it.
const byBreaker = "breaker"

// endpointState is the state of an endpoint by its row, where active and recovering say at what pace it is sent to.
func endpointState(stored string, failures int64, proven bool) EndpointState {
	switch {
	case stored == "paused":
		return EndpointPaused
	case stored == "disabled":
		return EndpointDisabled
	case failures > 0:
		return EndpointFailing
	case proven:
		return EndpointHealthy
	default:
		return EndpointUnknown
	}
}

// EndpointChange is a change of an endpoint's state.
type EndpointChange struct {
	ID uuid.UUID
	// Host is the only part of the URL that may be logged: a path is often a secret, too.
	Host     string
	From, To EndpointState
	// Failures counts the attempts that failed since the last 2xx.
	Failures int64
	// LastError is the error of the last attempt; "" if none failed.
	LastError string
}

func scanChange(row pgx.CollectableRow) (EndpointChange, error) {
	var c EndpointChange
	var was, is string
	var hadFailed int64
	var wasProven, isProven bool
	var url string
	var failed *string
	err := row.Scan(&c.ID, &url, &was, &hadFailed, &wasProven, &is, &c.Failures, &isProven, &failed)
	c.Host = hostOf(url)
	c.From, c.To = endpointState(was, hadFailed, wasProven), endpointState(is, c.Failures, isProven)
	if failed != nil {
		c.LastError = *failed
	}
	return c, err
}

// why says in words what changed the state.
func (c EndpointChange) why() string {
	switch c.To {
	case EndpointHealthy, EndpointUnknown:
		return "it answered with a 2xx"
	case EndpointPaused:
		return fmt.Sprintf("failures since the last 2xx: %d; the last: %s", c.Failures, c.LastError)
	default:
		return c.LastError
	}
}

// hostOf is the host that a URL leads to; "": it is none.
func hostOf(text string) string {
	u, err := weburl.Parse(text)
	if err != nil {
		return ""
	}
	return u.Authority()
}

// logChanges writes one line for each change.
func (q *Queue) logChanges(changes []EndpointChange) {
	for _, c := range changes {
		write := q.log.Info
		if c.To == EndpointPaused || c.To == EndpointDisabled {
			write = q.log.Warn
		}
		write("an endpoint changed its state", zap.Stringer("endpoint", c.ID), zap.String("host", c.Host),
			zap.String("from", string(c.From)), zap.String("to", string(c.To)), zap.String("why", c.why()))
	}
}
