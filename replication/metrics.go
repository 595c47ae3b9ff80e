package replication

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Register adds how far capture is behind to reg.
func (c *Capture) Register(reg prometheus.Registerer) {
	reg.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "attendee_relay_replication_lag_bytes",
			Help: "WAL that the server has sent or announced and that is not recorded yet; 0 on a standby.",
		}, func() float64 { return float64(c.lagBytes()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "attendee_relay_replication_lag_seconds",
			Help: "Age of the oldest commit that has been read and is not recorded yet; 0 when there is none.",
		}, func() float64 { return c.lagSeconds(time.Now()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "attendee_relay_slot_retained_wal_bytes",
			Help: "WAL that the server keeps for the slot, looked up every 30 s; 0 on a standby.",
		}, func() float64 { return float64(c.retained.Load()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "attendee_relay_resyncs_total",
			Help: "New starts of this process after a stretch of the WAL that could not be read; attendee_relay.gap has each.",
		}, func() float64 { return float64(c.resyncs.Load()) }),
	)
}

func (c *Capture) lagBytes() uint64 {
	end, recorded := c.serverEnd.Load(), c.recorded.Load()
	if !c.Leading() || end < recorded {
		return 0
	}
	return end - recorded
}

func (c *Capture) lagSeconds(now time.Time) float64 {
	oldest := c.oldest.Load()
	if !c.Leading() || oldest == 0 {
		return 0
	}
	return max(0, now.Sub(time.Unix(0, oldest)).Seconds())
}
