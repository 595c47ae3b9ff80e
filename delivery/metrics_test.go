package delivery

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"attendee-relay/outbox"
)

func TestMetricsStartAtZeroAndCountAttempts(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	m := NewMetrics(registry)
	expect := func(want map[string]float64) {
		t.Helper()
		got := gathered(t, registry)
		for name, value := range want {
			if number, there := got[name]; !there || number != value {
				t.Errorf("%s is %v (there: %v), want %v", name, number, there, value)
			}
		}
	}
	const attempts = "attendee_relay_delivery_attempts_total"
	expect(map[string]float64{
		attempts + " delivered": 0, attempts + " retried": 0, attempts + " dead": 0,
		"attendee_relay_delivery_duration_seconds": 0, "attendee_relay_commit_to_delivered_seconds": 0,
	})
	attempt := outbox.Attempt{StartedAt: noon, Duration: 250 * time.Millisecond}
	committed := outbox.Message{CommittedAt: noon.Add(-time.Second)}
	m.observe(&committed, outbox.Delivered(attempt))
	m.observe(&outbox.Message{CommittedAt: noon.Add(time.Hour)}, outbox.Delivered(attempt)) // clocks differ
	m.observe(&outbox.Message{}, outbox.Delivered(attempt))                                 // a baseline has no commit
	m.observe(&committed, outbox.RetryIn(time.Second, attempt))
	m.observe(&committed, outbox.Dead(attempt))
	expect(map[string]float64{
		attempts + " delivered": 3, attempts + " retried": 1, attempts + " dead": 1,
		"attendee_relay_delivery_duration_seconds": 1.25, "attendee_relay_commit_to_delivered_seconds": 1.25,
	})
}

// gathered returns counters by name and outcome, and the sums of histograms by name.
func gathered(t testing.TB, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if histogram := metric.GetHistogram(); histogram != nil {
				values[family.GetName()] = histogram.GetSampleSum()
				continue
			}
			name := family.GetName()
			for _, label := range metric.GetLabel() {
				name += " " + label.GetValue()
			}
			values[name] = metric.GetCounter().GetValue()
		}
	}
	return values
}
