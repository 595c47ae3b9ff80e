package delivery

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"attendee-relay/outbox"
)

// Metrics counts attempts and how long they take. No label holds a URL, an id or a name.
type Metrics struct {
	attempts          map[outbox.State]prometheus.Counter
	duration          prometheus.Histogram
	commitToDelivered prometheus.Histogram
	late              prometheus.Counter
}

// outcomeNames are the values of the label outcome, by the state that a message goes to.
var outcomeNames = map[outbox.State]string{
	outbox.StateDelivered: "delivered",
	outbox.StatePending:   "retried",
	outbox.StateDead:      "dead",
}

// NewMetrics registers delivery's metrics with reg, every label value present from the start.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	attempts := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "attendee_relay_delivery_attempts_total",
		Help: "HTTP attempts, by the outcome for the message.",
	}, []string{"outcome"})
	m := &Metrics{
		attempts: map[outbox.State]prometheus.Counter{},
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "attendee_relay_delivery_duration_seconds",
			Help:    "How long one HTTP attempt took, from dial to the last byte read.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 15, 30, 60},
		}),
		commitToDelivered: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "attendee_relay_commit_to_delivered_seconds",
			Help:    "Time from the commit of an acceptance to the 2xx for its message.",
			Buckets: []float64{.0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 15, 60, 300, 1800, 7200, 21600, 86400, 259200},
		}),
	}
	m.late = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "attendee_relay_late_outcomes_total",
		Help: "Outcomes that came after their lease and were refused.",
	})
	for state, name := range outcomeNames {
		m.attempts[state] = attempts.WithLabelValues(name)
	}
	reg.MustRegister(attempts, m.duration, m.commitToDelivered, m.late)
	return m
}

func (m *Metrics) observe(message *outbox.Message, outcome outbox.Outcome) {
	attempt := outcome.Attempt()
	m.attempts[outcome.State()].Inc()
	m.duration.Observe(attempt.Duration.Seconds())
	if outcome.State() == outbox.StateDelivered && !message.CommittedAt.IsZero() {
		// The commit's time is the database's clock; a clock that runs behind it must not make a negative time.
		took := attempt.StartedAt.Add(attempt.Duration).Sub(message.CommittedAt)
		m.commitToDelivered.Observe(max(took, time.Duration(0)).Seconds())
	}
}
