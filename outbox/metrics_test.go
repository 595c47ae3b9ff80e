package outbox_test

import (
	"math"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap/zaptest"

	"attendee-relay/internal/capturetest"
	"attendee-relay/outbox"
)

// A scrape does not read each of millions of rows, only 50,000 of a kind and a sample. Rare rows are still counted
// exactly, and estimates are close, also before the tables were first analysed.
func TestMetricsBesideMillionsOfRows(t *testing.T) {
	t.Parallel()
	rig := peopleRig(t, peopleTable)
	rig.Start(t)
	rig.AwaitLeading(t)
	rig.Stop(t)
	rig.DB.Exec(t, `alter table attendee_relay.settled set (autovacuum_enabled = off)`)
	rig.DB.Exec(t, `alter table attendee_relay.pending set (autovacuum_enabled = off)`)
	rig.DB.Exec(t, `insert into attendee_relay.settled (id, state, settled_at, attempts)
		select n, case when n % 200000 = 0 then 'dead' when n % 100 = 1 then 'skipped' else 'delivered' end, now(), 1
		  from generate_series(1, 2000000) n`)
	rig.DB.Exec(t, `insert into attendee_relay.pending (id, endpoint, lane, due_at)
		select 3000000 + n, ('00000000-0000-0000-0000-' || lpad((n % 1000)::text, 12, '0'))::uuid, n, now()
			from generate_series(1, 300000) n`)

	check(t, rig, .2)
	rig.DB.Exec(t, "analyze attendee_relay.settled, attendee_relay.pending")
	check(t, rig, .02)
}

// check scrapes, and compares the figures with what was written.
func check(t *testing.T, rig *capturetest.Rig, within float64) {
	t.Helper()
	got := map[string]float64{}
	var took time.Duration
	found := looked(t, rig, rows, []string{"settled", "pending"}, func(pool *pgxpool.Pool) {
		registry := prometheus.NewRegistry()
		stats := outbox.NewStats(pool, zaptest.NewLogger(t))
		stats.SetPatience(capturetest.Patience)
		registry.MustRegister(stats)
		began := time.Now()
		families, err := registry.Gather()
		took = time.Since(began)
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			for _, metric := range family.GetMetric() {
				name := family.GetName()
				for _, label := range metric.GetLabel() {
					name += " " + label.GetValue()
				}
				got[name] = metric.GetGauge().GetValue()
			}
		}
	})
	if found > 500_000 {
		t.Errorf("a scrape looked at %d rows", found)
	}
	t.Logf("a scrape took %v and %d rows: %v", took, found, got)
	for state, want := range map[string]float64{"delivered": 1_979_990, "pending": 300_000, "skipped": 20_000,
		"dead": 10} {
		off := 0.0
		if want > 50_000 {
			off = within * want
		}
		if n := got["attendee_relay_outbox_messages "+state]; math.Abs(n-want) > off {
			t.Errorf("%v messages are %s, want %v", n, state, want)
		}
	}
}
