package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"
)

const (
	slowEndpoints = 200
	// slowPlaces is how many requests each endpoint may have in flight.
	slowPlaces = 8
	// slowFor is how long the work lasts at the rate that the delays allow, slowMost how much there is of it at most.
	slowFor  = 8 * time.Second
	slowMost = 30_000
)

//go:embed slow.sql
var slowSQL string

// slowSetting is how so many relays, with so many requests in flight each, send to receivers that take a while.
type slowSetting struct {
	delay               time.Duration
	relays, concurrency int
	rate, share         *figure
}

var slowSettings = func() (all []slowSetting) {
	for _, delay := range []time.Duration{20 * time.Millisecond, 100 * time.Millisecond} {
		for _, s := range [][2]int{{1, 64}, {1, 256}, {1, 1024}, {2, 64}, {4, 64}} {
			name := fmt.Sprintf("slow, %v, %d relay with %d requests", delay, s[0], s[1])
			if s[0] > 1 {
				name = fmt.Sprintf("slow, %v, %d relays with %d requests each", delay, s[0], s[1])
			}
			all = append(all, slowSetting{delay, s[0], s[1],
				&figure{name + ": webhooks", "1/s", ""}, &figure{name + ": share of what the delay allows", "", ">= 0.85"}})
		}
	}
	return all
}()

// ideal is how many webhooks a second the delay and the places allow.
func (s slowSetting) ideal() float64 {
	return float64(min(s.relays*s.concurrency, s.relays*slowEndpoints*slowPlaces)) / s.delay.Seconds()
}

// slow sends to 200 receivers that take 20 or 100 ms.
func slow(ctx context.Context, b *bench) (samples []sample, err error) {
	for _, s := range slowSettings {
		if err := b.within(ctx, "slow", func(d *database) error {
			rate, err := d.slow(ctx, s)
			samples = append(samples, sample{s.rate, rate}, sample{s.share, rate / s.ideal()})
			return err
		}); err != nil {
			return nil, fmt.Errorf("%s: %w", s.rate.name, err)
		}
	}
	return samples, nil
}

// slow returns the webhooks a second between the first and the last one received.
func (d *database) slow(ctx context.Context, s slowSetting) (rate float64, err error) {
	slowly := fmt.Sprintf("set bench.receiver = '%s'; set bench.delay = '%v';", d.b.receiver.url, s.delay)
	if err := execute(ctx, d.url, slowly+slowSQL); err != nil {
		return 0, err
	}
	settings := []string{fmt.Sprintf("DELIVERY_CONCURRENCY=%d", s.concurrency),
		fmt.Sprintf("DELIVERY_ENDPOINT_CONCURRENCY=%d", slowPlaces)}
	const met = 2 * slowEndpoints
	if err := d.withRelay(ctx, func(*relay) error { return d.warm(ctx, met) }, settings...); err != nil {
		return 0, err
	}
	n := d.b.size(min(slowMost, int(s.ideal()*slowFor.Seconds())))
	if err := errors.Join(d.singly(ctx, accepted, met+1, met+n), d.exec(ctx, "checkpoint")); err != nil {
		return 0, err
	}
	err = d.withRelays(ctx, s.relays, func() error {
		err := errors.Join(d.b.receiver.await(ctx, n, 5*time.Minute), d.awaitSettled(ctx, time.Minute),
			d.checkOnce(ctx, n))
		if err != nil {
			return err
		}
		rate, err = d.b.receiver.rate(ctx)
		return err
	}, settings...)
	return rate, err
}

// withRelays has several relays run while something is done.
func (d *database) withRelays(ctx context.Context, n int, do func() error, settings ...string) error {
	if n == 0 {
		return do()
	}
	return d.withRelay(ctx, func(*relay) error { return d.withRelays(ctx, n-1, do, settings...) }, settings...)
}
