package outbox

import (
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// Reason is why a message ended without being delivered: the value of the metric's label, and of the log's field.
type Reason string

const (
	// Exhausted: the last attempt of DELIVERY_RETRY_SCHEDULE failed.
	Exhausted Reason = "exhausted"
	// Expired: it was pending when its body was erased, after OUTBOX_PAYLOAD_RETENTION.
	Expired Reason = "expired"
	// Discarded by an operator.
	Discarded Reason = "discarded"
	// EndpointRemoved: the payload query gives its endpoint no more.
	EndpointRemoved Reason = "endpoint_removed"
	// Withdrawn: its source row is no longer accepted, or the payload query gives no row for it any more.
	Withdrawn Reason = "withdrawn"
	// BodyTooLarge: above OUTBOX_MAX_BODY.
	BodyTooLarge Reason = "body_too_large"
	// NoURL: its row has none, and there is no default.
	NoURL Reason = "no_url"
	// Forgotten with the person it was about.
	Forgotten Reason = "forgotten"
)

// endings are the outcomes of redirect.sql that end a message.
var endings = map[string]Reason{"blank": NoURL, "removed": EndpointRemoved, "passed": EndpointRemoved, "withdrawn": Withdrawn, "silent": Withdrawn}

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

// note tells of one message. What never had a URL is the daily work of an application whose webhooks are optional; the others
// need somebody to look at them.
func (u *Unsent) note(reason Reason, messageID string, endpoint uuid.UUID) {
	if u == nil {
		return
	}
	u.ended[reason].Inc()
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
