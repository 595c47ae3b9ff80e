package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

const (
	// neighbourSeconds is how long pgbench runs.
	neighbourSeconds = 15
	// backlog is what the relay has to do meanwhile; it is to last.
	backlog = 150_000
)

var (
	neighbourAlone  = &figure{"neighbour: application's transactions, alone", "1/s", ""}
	neighbourBeside = &figure{"neighbour: application's transactions, beside a busy relay", "1/s", ""}
	neighbourShare  = &figure{"neighbour: share of the rate alone", "", ">= 0.6"}
	neighbourRate   = &figure{"neighbour: relay's webhooks meanwhile", "1/s", ""}
)

//go:embed neighbour.pgbench
var neighbourScript []byte

// neighbour has an application work at full speed, alone and beside a relay that announces a backlog, and reads what
// the application does.
func neighbour(ctx context.Context, b *bench) ([]sample, error) {
	var alone, beside, webhooks float64
	if err := b.within(ctx, "neighbour", func(d *database) (err error) {
		if err = d.makeBacklog(ctx); err == nil {
			alone, err = d.pgbench(ctx)
		}
		return err
	}); err != nil {
		return nil, err
	}
	if err := b.within(ctx, "neighbour", func(d *database) (err error) {
		beside, webhooks, err = d.pgbenchBeside(ctx)
		return err
	}); err != nil {
		return nil, err
	}
	return []sample{{neighbourAlone, alone}, {neighbourBeside, beside}, {neighbourShare, beside / alone},
		{neighbourRate, webhooks}}, nil
}

// makeBacklog registers and accepts people whom pgbench does not touch.
func (d *database) makeBacklog(ctx context.Context) error {
	return errors.Join(d.register(ctx, d.b.size(backlog), "1 + n % 100", "Pending"),
		d.singly(ctx, accepted, registered+1, registered+d.b.size(backlog)), d.exec(ctx, "checkpoint"))
}

// pgbenchBeside returns pgbench's transactions a second and the webhooks a second that came while it ran.
func (d *database) pgbenchBeside(ctx context.Context) (tps, webhooks float64, err error) {
	if err := errors.Join(d.rest(ctx), d.makeBacklog(ctx), d.b.receiver.reset(ctx)); err != nil {
		return 0, 0, err
	}
	err = d.withRelay(ctx, func(*relay) error {
		if err := d.b.receiver.await(ctx, 1, time.Minute); err != nil {
			return err
		}
		began := time.Now()
		before, err := d.b.receiver.counts(ctx)
		if err != nil {
			return err
		}
		if tps, err = d.pgbench(ctx); err != nil {
			return err
		}
		after, err := d.b.receiver.counts(ctx)
		webhooks = float64(after.Webhooks-before.Webhooks) / time.Since(began).Seconds()
		if n := d.b.size(backlog); err == nil && (after.Webhooks >= n || after.Requests != after.Webhooks) {
			err = fmt.Errorf("of a backlog of %d the receiver got %d webhooks in %d requests while pgbench ran: "+
				"it did not last, or some came twice",
				n, after.Webhooks, after.Requests)
		}
		return err
	})
	return tps, webhooks, err
}

var pgbenchRate = regexp.MustCompile(`(?m)^tps = ([0-9.]+)`)

// pgbench returns the transactions a second of four clients.
func (d *database) pgbench(ctx context.Context) (float64, error) {
	program, err := d.b.server.Program("pgbench")
	if err != nil {
		return 0, err
	}
	script := filepath.Join(d.b.dir, "neighbour.pgbench")
	if err := os.WriteFile(script, neighbourScript, 0o600); err != nil {
		return 0, fmt.Errorf("writing pgbench's script: %w", err)
	}
	printed, err := tool(ctx, program, "--no-vacuum", "--protocol=prepared", "--client=4", "--jobs=2", "--file="+script,
		fmt.Sprintf("--time=%d", d.b.size(neighbourSeconds)), fmt.Sprintf("--define=attendees=%d", d.b.size(attendees)),
		d.url)
	if err != nil {
		return 0, err
	}
	match := pgbenchRate.FindSubmatch(printed)
	if match == nil {
		return 0, errors.New("pgbench does not say how many transactions it made")
	}
	return strconv.ParseFloat(string(match[1]), 64)
}
