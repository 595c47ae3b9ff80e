package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// latencyEvery is the time between two acceptances.
	latencyEvery = 20 * time.Millisecond
	latencyCount = 1500
)

var (
	latencyP50    = &figure{"latency at 50/s: p50, commit to receipt", "ms", "<= 2"}
	latencyP95    = &figure{"latency at 50/s: p95", "ms", ""}
	latencyP99    = &figure{"latency at 50/s: p99", "ms", "<= 8"}
	latencyAnswer = &figure{"latency at 50/s: p50 of the application's own commits", "ms", ""}
	afterP50      = &figure{"latency at 50/s: p50, the application has its answer to receipt", "ms", ""}
	afterP99      = &figure{"latency at 50/s: p99, the application has its answer to receipt", "ms", ""}
	latencyCPU    = &figure{"latency at 50/s: relay's CPU", "% of a core", ""}
	latencyServer = &figure{"latency at 50/s: Postgres's CPU", "% of a core", ""}
)

// latency accepts 50 attendees a second for 30 s, with durable commits.
func latency(ctx context.Context, b *bench) (samples []sample, err error) {
	err = b.within(ctx, "latency", func(d *database) error {
		return d.withRelay(ctx, func(r *relay) (err error) {
			samples, err = d.latency(ctx, r)
			return err
		})
	})
	return samples, err
}

func (d *database) latency(ctx context.Context, r *relay) ([]sample, error) {
	if err := d.warm(ctx, warmed); err != nil {
		return nil, err
	}
	before, err := d.b.spent(r)
	if err != nil {
		return nil, err
	}
	began, n := time.Now(), d.b.size(latencyCount)
	commits, err := d.acceptSteadily(ctx, warmed+1, n)
	if err != nil {
		return nil, err
	}
	seconds := time.Since(began).Seconds()
	after, err := d.b.spent(r)
	if err != nil {
		return nil, err
	}
	took, late, err := d.receipts(ctx, commits)
	if err != nil {
		return nil, err
	}
	var answered []float64
	for _, c := range commits {
		answered = append(answered, milliseconds(c.answered.Sub(c.asked)))
	}
	slices.Sort(answered)
	spent := after.since(before)
	return []sample{
		{latencyP50, quantile(took, .5)}, {latencyP95, quantile(took, .95)}, {latencyP99, quantile(took, .99)},
		{latencyAnswer, quantile(answered, .5)}, {afterP50, quantile(late, .5)}, {afterP99, quantile(late, .99)},
		{latencyCPU, 100 * spent.relay / seconds}, {latencyServer, 100 * spent.postgres / seconds},
	}, nil
}

// commit is an acceptance as the application saw it.
type commit struct{ asked, answered time.Time }

// acceptSteadily accepts n attendees, each at its time, whatever the one before took, and returns the commits by
// attendee.
func (d *database) acceptSteadily(ctx context.Context, first, n int) (map[string]commit, error) {
	began, commits := time.Now(), make(map[string]commit, n)
	for i := range n {
		if wait := time.Until(began.Add(time.Duration(i) * latencyEvery)); wait > 0 {
			time.Sleep(wait)
		}
		asked := time.Now()
		if err := d.exec(ctx, "update attendees set "+accepted+" where id = $1", first+i); err != nil {
			return nil, err
		}
		commits[strconv.Itoa(first+i)] = commit{asked, time.Now()}
	}
	return commits, nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// receipts returns, sorted, how many ms passed from each commit to its webhook's receipt, and from its answer. All is
// this machine's clock. Postgres notes the time of a commit before it is flushed to the disk, and answers and streams
// it after.
func (d *database) receipts(ctx context.Context, commits map[string]commit) (took, late []float64, err error) {
	n := len(commits)
	if err := d.b.receiver.await(ctx, n, time.Minute); err != nil {
		return nil, nil, err
	}
	if err := d.checkOnce(ctx, n); err != nil {
		return nil, nil, err
	}
	received, err := d.b.receiver.times(ctx)
	if err != nil {
		return nil, nil, err
	}
	rows, err := d.conn.Query(ctx,
		"select message_id, attendee_id, committed_at from attendee_relay.message order by id desc limit $1", n)
	if err != nil {
		return nil, nil, fmt.Errorf("reading when the acceptances were committed: %w", err)
	}
	var id, attendee string
	var committed time.Time
	_, err = pgx.ForEachRow(rows, []any{&id, &attendee, &committed}, func() error {
		took = append(took, milliseconds(received[id].Sub(committed)))
		late = append(late, milliseconds(received[id].Sub(commits[attendee].answered)))
		return nil
	})
	slices.Sort(took)
	slices.Sort(late)
	return took, late, err
}
