package admin

import (
	"github.com/prometheus/client_golang/prometheus"

	"attendee-relay/internal/fault"
)

var (
	leaderDesc = prometheus.NewDesc("attendee_relay_leader",
		"1 while this process holds the replication slot, else 0.", nil, nil)
	faultsDesc = prometheus.NewDesc("attendee_relay_faults",
		"1 while the fault holds, else 0; /readyz says more.", []string{"code"}, nil)
)

// collector reads role and faults at each scrape, so that metrics and /readyz cannot disagree.
type collector struct {
	role   func() Role
	faults Faults
}

// Describe implements prometheus.Collector.
func (c collector) Describe(descs chan<- *prometheus.Desc) {
	descs <- leaderDesc
	descs <- faultsDesc
}

// Collect implements prometheus.Collector. Every code is there from the first scrape on: an alert on a series that does
// not exist yet never fires.
func (c collector) Collect(metrics chan<- prometheus.Metric) {
	metrics <- prometheus.MustNewConstMetric(leaderDesc, prometheus.GaugeValue, toFloat(c.role() == Leader))
	holds := map[fault.Code]bool{}
	for _, code := range fault.Codes {
		holds[code] = false
	}
	for _, f := range c.faults.List() {
		holds[f.Code] = true
	}
	for code, held := range holds {
		metrics <- prometheus.MustNewConstMetric(faultsDesc, prometheus.GaugeValue, toFloat(held), string(code))
	}
}

func toFloat(held bool) float64 {
	if held {
		return 1
	}
	return 0
}
