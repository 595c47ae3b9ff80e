package delivery

import (
	"context"
	"time"

	"go.uber.org/zap"

	"attendee-relay/outbox"
)

const (
	// claimBatch is the most messages one claim asks for.
	claimBatch = 200
	// pollInterval finds what no nudge told of: messages that came due again, and those of another process.
	pollInterval = time.Second
	// linger is how long a free place waits for others, so that a backlog is claimed in batches and not one by one.
	linger = 5 * time.Millisecond
)

// claimUntil claims and starts messages until ctx ends. A claim that is under way then may finish, bounded by requests,
// and what it brings is sent: a message leased and dropped would wait for the end of its lease.
func (d *Dispatcher) claimUntil(ctx, requests context.Context, start func(outbox.Message)) {
	for ctx.Err() == nil {
		err := d.claim(requests, start)
		switch {
		case err == nil:
			d.claims.recovered()
			d.retry.reset()
			d.await(ctx)
		case ctx.Err() == nil:
			// Neither nudges nor free places cut this wait short: they would hammer a database that is down.
			d.claims.failed(err)
			pause(ctx, d.retry.next())
		}
	}
}

// claim fills the free places. It returns without asking when there are none; the next one freed wakes the loop. While
// outcomes cannot be recorded it claims nothing: what is sent then would be sent again if this process died.
func (d *Dispatcher) claim(ctx context.Context, start func(outbox.Message)) error {
	if d.settler.outage.failing.Load() {
		return nil
	}
	free, busy := d.gate.room()
	if free == 0 {
		return nil
	}
	perEndpoint := d.pace.bound(d.gate.perEndpoint)
	d.pace.hold(busy, perEndpoint, time.Now())
	req := outbox.ClaimRequest{Limit: min(free, claimBatch), Lease: d.lease, PerEndpoint: perEndpoint, Busy: busy}

	ctx, cancel := context.WithTimeoutCause(ctx, storeTimeout, errStoreSilent)
	messages, err := d.store.Claim(ctx, req)
	cancel()
	if err != nil {
		return err
	}
	left := 0
	for _, m := range messages {
		if !d.mayStart(&m) {
			left++
			continue
		}
		start(m)
	}
	if left > 0 {
		d.log.Warn("claimed messages could not be sent within their lease and come due again with its end",
			zap.Int("messages", left))
	}
	d.gate.claimed(req, messages)
	return nil
}

// mayStart reports whether m can be sent now, and takes its place. A request must end before its lease does, or somebody
// else sends the message meanwhile: without a whole timeout left it is not begun.
func (d *Dispatcher) mayStart(m *outbox.Message) bool {
	now := time.Now()
	return m.LeaseEnds.Sub(now) >= d.timeout && d.pace.spend(m.Endpoint, now) && d.gate.take(m.Endpoint)
}

// await returns when another claim is worth it: on a nudge, when enough places are free for which messages may be
// waiting, shortly after any such place is, or with the next poll.
func (d *Dispatcher) await(ctx context.Context) {
	poll := time.NewTimer(pollInterval)
	defer poll.Stop()
	var lingered <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
			return
		case <-lingered:
			return
		case <-d.nudged:
			return
		case <-d.gate.signal:
			now, soon := d.gate.worth()
			if now {
				return
			}
			if soon && lingered == nil {
				lingered = time.After(linger)
			}
		}
	}
}
