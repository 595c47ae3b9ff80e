package outbox

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"math"
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
	//go:embed sql/stats_pending.sql
	statsPendingSQL string
	//go:embed sql/stats_settled.sql
	statsSettledSQL string
)

const (
	// statsAge is how old figures may be: a scrape must not become a load of its own on a large outbox.
	statsAge = 30 * time.Second
	// statsAgain is how long a scrape after one that found no figures does without.
	statsAgain = 5 * time.Second
	// statsTimeout bounds each statement, scrapeTimeout the whole; a scrape waits for it.
	statsTimeout  = time.Second
	scrapeTimeout = 3 * time.Second
	// statsRows is up to how many rows a table is counted, statsPages how many pages of a larger one are sampled.
	statsRows  = 50_000
	statsPages = 500
	// statsEndpoints is of how many endpoints the oldest message is looked for.
	statsEndpoints = 10_000
)

// Stats shows the outbox's size as metrics. Whatever the tables hold, the work is bounded: figures are read when
// somebody scrapes, at most once in 30 s, by one caller at a time whose result others share, and counts above statsRows
// are estimates.
type Stats struct {
	pool Pool
	log  *zap.Logger
	// statement and scrape are statsTimeout and scrapeTimeout, unless a test has more patience.
	statement, scrape time.Duration

	mu sync.Mutex
	// counted is when the figures were read, tried when that was last tried.
	counted, tried time.Time
	states         map[string]float64
	oldest         float64
	// endpoints that have answered or failed, by state.
	endpoints map[string]float64
}

var (
	messagesMetric = prometheus.NewDesc("attendee_relay_outbox_messages",
		"Messages in the outbox; above 50,000 an estimate.", []string{"state"}, nil)
	oldestMetric = prometheus.NewDesc("attendee_relay_oldest_pending_seconds", "Age of the oldest pending message.",
		nil, nil)
	endpointsMetric = prometheus.NewDesc("attendee_relay_endpoints", "Endpoints that messages were sent to.",
		[]string{"state"}, nil)
)

// NewStats makes a collector that counts over pool.
func NewStats(pool Pool, log *zap.Logger) *Stats {
	return &Stats{pool: pool, log: log.Named("outbox"), statement: statsTimeout, scrape: scrapeTimeout}
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
	if time.Since(s.counted) > statsAge && !s.renew() {
		return
	}
	for state, n := range s.states {
		out <- prometheus.MustNewConstMetric(messagesMetric, prometheus.GaugeValue, n, state)
	}
	out <- prometheus.MustNewConstMetric(oldestMetric, prometheus.GaugeValue, s.oldest)
	for state, n := range s.endpoints {
		out <- prometheus.MustNewConstMetric(endpointsMetric, prometheus.GaugeValue, n, state)
	}
}

// renew reads the figures, and reports whether there are any.
func (s *Stats) renew() bool {
	if time.Since(s.tried) < statsAgain {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.scrape)
	defer cancel()
	err := s.count(ctx)
	s.tried = time.Now()
	if err != nil {
		s.log.Debug("the outbox could not be counted for the metrics", zap.Error(postgres.Safe(err)))
		return false
	}
	s.counted = s.tried
	return true
}

// count reads the figures, with bounded work: where a table has more than statsRows of something it is estimated.
func (s *Stats) count(ctx context.Context) error {
	f := figures{}
	var standing []byte
	err := s.ask(ctx, func(b *pgx.Batch) {
		b.Queue(statsSQL, statsRows, statsEndpoints).QueryRow(func(row pgx.Row) error {
			return row.Scan(&f.pending, &f.dead, &f.skipped, &f.settled, &f.oldest, &standing, &f.pendingPages,
				&f.pendingDensity, &f.settledPages, &f.settledDensity)
		})
	})
	if err != nil {
		return err
	}
	endpoints := map[string]float64{}
	for _, state := range []EndpointState{
		EndpointUnknown, EndpointHealthy, EndpointFailing, EndpointPaused, EndpointDisabled} {
		endpoints[string(state)] = 0
	}
	if err := json.Unmarshal(standing, &endpoints); err != nil {
		return fmt.Errorf("reading the states of the endpoints: %w", err)
	}
	if err := s.estimate(ctx, &f); err != nil {
		return err
	}
	s.states = map[string]float64{string(StatePending): f.pending, string(StateDead): f.dead,
		string(StateSkipped): f.skipped, string(StateDelivered): max(f.settled-f.dead-f.skipped, 0)}
	s.endpoints, s.oldest = endpoints, f.oldest
	return nil
}

// figures are counts of rows, none above statsRows unless it is an estimate; and the sizes of the tables in pages, with
// the planner's rows per page (nil if there are no statistics yet).
type figures struct {
	pending, dead, skipped, settled, oldest float64
	pendingPages, settledPages              float64
	pendingDensity, settledDensity          *float64
}

// estimate replaces the counts that reached statsRows by the present size of the table in pages times the planner's
// rows per page, which change slowly; before the first ANALYZE, by those of a sample of its pages. The sample has the
// same pages each time.
func (s *Stats) estimate(ctx context.Context, f *figures) error {
	if max(f.pending, f.settled) < statsRows {
		return nil
	}
	pending, settled, dead, skipped := f.pending, f.settled, f.dead, f.skipped
	err := s.ask(ctx, func(b *pgx.Batch) {
		b.Queue(statsPendingSQL, share(f.pendingPages)).QueryRow(func(row pgx.Row) error { return row.Scan(&pending) })
		b.Queue(statsSettledSQL, share(f.settledPages)).QueryRow(func(row pgx.Row) error {
			return row.Scan(&settled, &dead, &skipped)
		})
	})
	if err != nil {
		return err
	}
	estimate(&f.pending, pending, f.pendingPages, f.pendingDensity)
	estimate(&f.dead, dead, f.settledPages, nil) // what is rare was counted, and is not guessed
	estimate(&f.skipped, skipped, f.settledPages, nil)
	estimate(&f.settled, settled, f.settledPages, f.settledDensity)
	return nil
}

func estimate(count *float64, sampled, pages float64, density *float64) {
	switch {
	case *count < statsRows:
	case density != nil:
		*count = math.Round(max(*count, *density*pages))
	default:
		*count = math.Round(max(*count, sampled*100/share(pages)))
	}
}

// share is how much of a table of so many pages a sample reads, in percent.
func share(pages float64) float64 { return 100 * min(1, statsPages/max(pages, 1)) }

// ask runs statements in one transaction, each for s.statement at most.
func (s *Stats) ask(ctx context.Context, fill func(*pgx.Batch)) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	batch := &pgx.Batch{}
	batch.Queue(statsSettingsSQL, strconv.FormatInt(s.statement.Milliseconds(), 10))
	fill(batch)
	return postgres.Transact(ctx, conn.Conn(), batch)
}
