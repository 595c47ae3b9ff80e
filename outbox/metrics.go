package outbox

import (
	"context"
	_ "embed"
	"encoding/json"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"attendee-relay/internal/postgres"
)

var (
	//go:embed sql/stats_settings.sql
	statsSettingsSQL string
	//go:embed sql/stats.sql
	statsSQL string
)

const (
	// statsAge is how old figures may be: a scrape must not become a load of its own on a large outbox.
	statsAge = 30 * time.Second
	// statsTimeout bounds the count; a scrape waits for it.
	statsTimeout = 5 * time.Second
)

// Stats shows the outbox's size as metrics. Counting happens when somebody scrapes, at most once in 30 s.
type Stats struct {
	pool Pool
	log  *zap.Logger

	mu      sync.Mutex
	counted time.Time
	states  map[string]float64
	oldest  float64
	// endpoints that have answered or failed, by state.
	endpoints map[string]float64
}

var (
	messagesMetric  = prometheus.NewDesc("attendee_relay_outbox_messages", "Messages in the outbox.", []string{"state"}, nil)
	oldestMetric    = prometheus.NewDesc("attendee_relay_oldest_pending_seconds", "Age of the oldest pending message.", nil, nil)
	endpointsMetric = prometheus.NewDesc("attendee_relay_endpoints", "Endpoints that messages were sent to.", []string{"state"}, nil)
)

// NewStats makes a collector that counts over pool.
func NewStats(pool Pool, log *zap.Logger) *Stats {
	return &Stats{pool: pool, log: log.Named("outbox")}
}

// Describe implements prometheus.Collector.
func (s *Stats) Describe(out chan<- *prometheus.Desc) {
	out <- messagesMetric
	out <- oldestMetric
	out <- endpointsMetric
}

// Collect implements prometheus.Collector. While the outbox cannot be read it shows nothing: an old figure would hide
// that.
func (s *Stats) Collect(out chan<- prometheus.Metric) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.counted) > statsAge {
		ctx, cancel := context.WithTimeout(context.Background(), statsTimeout)
		defer cancel()
		if err := s.count(ctx); err != nil {
			s.log.Debug("the outbox could not be counted for the metrics", zap.Error(postgres.Safe(err)))
			return
		}
	}
	for state, n := range s.states {
		out <- prometheus.MustNewConstMetric(messagesMetric, prometheus.GaugeValue, n, state)
	}
	out <- prometheus.MustNewConstMetric(oldestMetric, prometheus.GaugeValue, s.oldest)
	for state, n := range s.endpoints {
		out <- prometheus.MustNewConstMetric(endpointsMetric, prometheus.GaugeValue, n, state)
	}
}

func (s *Stats) count(ctx context.Context) error {
	var pending float64
	var settled, standing []byte
	var oldest *float64
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	batch := &pgx.Batch{}
	batch.Queue(statsSettingsSQL, strconv.FormatInt(statsTimeout.Milliseconds(), 10))
	batch.Queue(statsSQL).QueryRow(func(row pgx.Row) error { return row.Scan(&pending, &settled, &oldest, &standing) })
	if err := postgres.Transact(ctx, conn.Conn(), batch); err != nil {
		return err
	}
	states := map[string]float64{string(StatePending): 0, string(StateDelivered): 0, string(StateDead): 0, string(StateSkipped): 0}
	if err := json.Unmarshal(settled, &states); err != nil {
		return err
	}
	endpoints := map[string]float64{"active": 0, "paused": 0, "recovering": 0, "disabled": 0}
	if err := json.Unmarshal(standing, &endpoints); err != nil {
		return err
	}
	states[string(StatePending)] = pending
	s.states, s.endpoints, s.oldest, s.counted = states, endpoints, 0, time.Now()
	if oldest != nil {
		s.oldest = *oldest
	}
	return nil
}
