package outbox

import (
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// Reason is why a message ended without being delivered: the value of the metric's label, and of the log's field.
type Reason string

const (
	// Exhausted messages failed in the last attempt of DELIVERY_RETRY_SCHEDULE.
	Exhausted Reason = "exhausted"
	// Expired messages were pending when their bodies were erased, after OUTBOX_PAYLOAD_RETENTION.
	Expired Reason = "expired"
	// Discarded messages were ended by an operator.
	Discarded Reason = "discarded"
	// EndpointRemoved messages have an endpoint that the payload query no longer gives.
	EndpointRemoved Reason = "endpoint_removed"
	// Withdrawn messages have a source row that is no longer accepted, or no row of the payload query any more.
	Withdrawn Reason = "withdrawn"
	// BodyTooLarge messages have a body above OUTBOX_MAX_BODY.
	BodyTooLarge Reason = "body_too_large"
	// NoURL messages have a row without a URL, and there is no default.
	NoURL Reason = "no_url"
	// Forgotten messages ended with the person that they were about.
	Forgotten Reason = "forgotten"
)

// endings are the outcomes of redirect.sql that end a message.
var endings = map[string]Reason{"blank": NoURL, "removed": EndpointRemoved, "passed": EndpointRemoved,
	"withdrawn": Withdrawn, "silent": Withdrawn}

var reasons = []Reason{Exhausted, Expired, Discarded, EndpointRemoved, Withdrawn, BodyTooLarge, NoURL, Forgotten}

// Unsent logs and counts the messages that this process ends without a delivery. The nil Unsent does nothing.
type Unsent struct {
	ended map[Reason]prometheus.Counter
	log   *zap.Logger
}

// NewUnsent registers the metric with reg, every reason present from the start.
func NewUnsent(reg prometheus.Registerer, log *zap.Logger) *Unsent {
	counters := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "attendee_relay_messages_unsent_total",
		Help: "Messages that ended without being delivered, by the reason.",
	}, []string{"reason"})
	u := &Unsent{ended: map[Reason]prometheus.Counter{}, log: log.Named("outbox")}
	for _, reason := range reasons {
		u.ended[reason] = counters.WithLabelValues(string(reason))
	}
	reg.MustRegister(counters)
	return u
}

// note logs one message. Messages that never had a URL are normal where webhooks are optional; the others need
// somebody's attention.
func (u *Unsent) note(reason Reason, messageID string, endpoint uuid.UUID) {
	if u == nil {
		return
	}
	if counter := u.ended[reason]; counter != nil {
		counter.Inc()
	}
	level := zap.WarnLevel
	if reason == NoURL {
		level = zap.InfoLevel
	}
	if line := u.log.Check(level, "a message ended without being delivered"); line != nil {
		fields := []zap.Field{zap.String("message_id", messageID), zap.String("reason", string(reason))}
		if endpoint != uuid.Nil {
			fields = append(fields, zap.Stringer("endpoint", endpoint))
		}
		line.Write(fields...)
	}
}
