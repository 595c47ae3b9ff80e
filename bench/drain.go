package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// drained is how many acceptances wait in the slot.
const drained = 30_000

// senders is how many requests the relay and the bare client have in flight.
const senders = 16

var drainSettings = "DELIVERY_CONCURRENCY=" + strconv.Itoa(senders)

var (
	drainRate    = &figure{"drain: webhooks from the start to the last one marked", "1/s", ""}
	bareRate     = &figure{"drain: bare client's POSTs", "1/s", ""}
	drainShare   = &figure{"drain: share of the bare client's rate", "", ">= 0.42"}
	drainCPU     = &figure{"drain: relay's CPU a webhook", "us", ""}
	bareCPU      = &figure{"drain: bare client's CPU a POST", "us", ""}
	drainCPURate = &figure{"drain: relay's CPU / bare client's", "", "<= 2.2"}
	drainServer  = &figure{"drain: Postgres's CPU a webhook", "us", ""}
	drainMemory  = &figure{"drain: RSS", "MiB", "<= 40"}
)

// drain has the relay find 30,000 acceptances in its slot, and a bare client post the same bodies.
func drain(ctx context.Context, b *bench) (samples []sample, err error) {
	err = b.within(ctx, "drain", func(d *database) error {
		took, err := d.drain(ctx, 1, drainSettings)
		if err != nil {
			return err
		}
		bare, err := d.postAgain(ctx, took.webhooks)
		if err != nil {
			return err
		}
		n := float64(took.webhooks)
		samples = []sample{
			{drainRate, took.rate()}, {bareRate, n / bare.Seconds}, {drainShare, bare.Seconds / took.seconds},
			{drainCPU, 1e6 * took.spent.relay / n}, {bareCPU, 1e6 * bare.CPU / n}, {drainCPURate, took.spent.relay / bare.CPU},
			{drainServer, 1e6 * took.spent.postgres / n}, {drainMemory, took.memory},
		}
		return nil
	})
	return samples, err
}

// drainage is what draining took: seconds by the clock and of CPU, MiB at most.
type drainage struct {
	webhooks int
	seconds  float64
	spent    spent
	memory   float64
}

func (took drainage) rate() float64 { return float64(took.webhooks) / took.seconds }

// drain accepts attendees while no relay runs, then has one announce them. The time counts from the relay's start, with
// everything before its first webhook.
func (d *database) drain(ctx context.Context, first int, settings ...string) (took drainage, err error) {
	took.webhooks = d.b.size(drained)
	if err := d.rest(ctx, settings...); err != nil {
		return took, err
	}
	if err := d.singly(ctx, accepted, first, first+took.webhooks-1); err != nil {
		return took, err
	}
	if err := errors.Join(d.exec(ctx, "checkpoint"), d.b.receiver.reset(ctx)); err != nil {
		return took, err
	}
	before, err := d.b.spent(nil)
	if err != nil {
		return took, err
	}
	err = d.withRelay(ctx, func(r *relay) error {
		d.b.profileRelay(ctx, r)
		err := errors.Join(d.b.receiver.await(ctx, took.webhooks, 5*time.Minute), d.awaitSettled(ctx, time.Minute))
		if err != nil {
			return err
		}
		took.seconds = time.Since(r.began).Seconds()
		after, err := d.b.spent(r)
		if err != nil {
			return err
		}
		took.spent = after.since(before)
		took.memory, err = peakMemory(r.pid())
		return errors.Join(err, d.writeBackends(ctx), d.checkOnce(ctx, took.webhooks))
	}, settings...)
	return took, err
}

// checkOnce refuses figures of a run that did not do what it should have.
func (d *database) checkOnce(ctx context.Context, webhooks int) error {
	c, err := d.b.receiver.counts(ctx)
	if err == nil && (c.Webhooks != webhooks || c.Requests != webhooks) {
		err = fmt.Errorf("%d attendees were accepted; the receiver got %d webhooks in %d requests",
			webhooks, c.Webhooks, c.Requests)
	}
	return err
}

// postAgain has the bare client send the newest n messages.
func (d *database) postAgain(ctx context.Context, n int) (c cost, err error) {
	path := filepath.Join(d.b.dir, "posts")
	if err := d.writePosts(ctx, path, n); err != nil {
		return c, err
	}
	if err := d.b.receiver.reset(ctx); err != nil {
		return c, err
	}
	printed, err := tool(ctx, d.b.self, "post", "--senders", strconv.Itoa(senders), path)
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(printed, &c); err != nil {
		return c, fmt.Errorf("reading what the bare client says: %w", err)
	}
	return c, d.checkOnce(ctx, n)
}

func (d *database) writePosts(ctx context.Context, path string, n int) error {
	file, err := os.Create(path) //nolint:gosec // the bench's own file
	if err != nil {
		return fmt.Errorf("writing the bare client's bodies: %w", err)
	}
	buffered := bufio.NewWriter(file)
	encoder := json.NewEncoder(buffered)
	encoder.SetEscapeHTML(false)
	rows, err := d.conn.Query(ctx, "select webhook_url, payload from attendee_relay.message order by id desc limit $1", n)
	if err == nil {
		var p post
		var body string
		_, err = pgx.ForEachRow(rows, []any{&p.URL, &body}, func() error {
			p.Body = json.RawMessage(body)
			return encoder.Encode(p)
		})
	}
	return errors.Join(err, buffered.Flush(), file.Close())
}
