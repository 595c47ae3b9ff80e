package delivery

import (
	"context"
	"time"

	"go.uber.org/zap"

	"attendee-relay/outbox"
)

const (
	// claimBatch is the most messages one claim asks for.
	claimBatch = 500
	// pollInterval finds what no nudge told of: messages that came due again, and those of another process.
	pollInterval = time.Second
	// idleInterval is how often endpoints in trouble are looked for where nothing has failed for trouble.
	idleInterval = 5 * time.Second
	trouble      = 30 * time.Minute
	// recording is the end of a lease, in which no request is in flight any more.
	recording = 2 * time.Second
	// linger is how long a free place waits for others, so that a backlog is claimed in batches and not one by one, and
	// lingerInLine how long while messages wait in line.
	linger       = 5 * time.Millisecond
	lingerInLine = lineTime / 2
)

// claimUntil claims and starts messages until ctx ends. A claim that is under way then may finish, bounded by requests,
// and what it brings is sent: a message leased and dropped would have to be given back.
func (d *Dispatcher) claimUntil(ctx, requests context.Context, start func(outbox.Message)) {
	var probed time.Time
	for ctx.Err() == nil {
		d.tasks.claiming.Begin()
		err := d.claim(requests, start)
		if now := time.Now(); err == nil && now.Sub(probed) >= d.probeInterval(now) {
			var asked bool
			if asked, err = d.probe(requests, start); asked {
				probed = now
			}
		}
		if ctx.Err() != nil {
			d.tasks.claiming.Rest()
			return
		}
		d.tasks.claiming.End(err)
		if err == nil {
			d.claims.recovered()
			d.retry.reset()
			d.await(ctx)
		} else {
			// Neither nudges nor free places cut this wait short: they would hammer a database that is down.
			d.claims.failed(err)
			pause(ctx, d.retry.next())
		}
	}
}

// probeInterval is how often probes are asked for: rarely if this process has seen no failure for long, because then
// there is probably no endpoint to probe.
func (d *Dispatcher) probeInterval(now time.Time) time.Duration {
	if now.Sub(time.Unix(0, d.failed.Load())) < trouble {
		return pollInterval
	}
	return idleInterval
}

// claim fills the free places. It returns without asking when there are none; the next one freed wakes the loop. While
// outcomes cannot be recorded it claims nothing: what is sent then would be sent again if this process died.
func (d *Dispatcher) claim(ctx context.Context, start func(outbox.Message)) error {
	if d.settler.outage.failing.Load() {
		return nil
	}
	d.unrecorded.forget()
	if err := d.notSent.release(ctx); err != nil {
		return err
	}
	now := time.Now()
	d.handover.expire(now)
	room := d.gate.room(now)
	d.crowded = room.all == 0
	if d.crowded || d.shortage.holds(now) {
		return nil
	}
	perEndpoint := d.pace.bound(d.gate.perEndpoint)
	d.pace.hold(room.busy, room.ahead, perEndpoint, now)
	req := outbox.ClaimRequest{Limit: d.shortage.limit(min(room.all, claimBatch)), Lease: d.lease,
		PerEndpoint: perEndpoint, Busy: room.busy, Ahead: room.ahead,
		Trial: room.trial, TrialMore: room.trialMore, InTurn: d.backlog,
		SmallBody: smallBody, LargeBytes: room.largeBytes, Alone: room.alone}
	messages, err := d.ask(ctx, func(ctx context.Context) ([]outbox.Message, error) { return d.store.Claim(ctx, req) })
	if err != nil {
		return err
	}
	d.backlog = len(messages) > 0
	if !d.backlog && len(req.Busy) == 0 {
		d.shortage.unused(now)
	}
	d.dispatch(messages, start)
	d.gate.claimed(req, messages)
	return nil
}

// probe sends the probes that are due, as far as there are places; where there are none it reports that it did not ask.
func (d *Dispatcher) probe(ctx context.Context, start func(outbox.Message)) (asked bool, err error) {
	free := d.gate.vacant()
	if free == 0 || d.settler.outage.failing.Load() || d.shortage.holds(time.Now()) {
		return false, nil
	}
	messages, err := d.ask(ctx, func(ctx context.Context) ([]outbox.Message, error) {
		return d.store.Probe(ctx, d.shortage.limit(min(free, claimBatch)), d.lease)
	})
	d.dispatch(messages, start)
	return true, err
}

// ask bounds a call to the store.
func (d *Dispatcher) ask(
	ctx context.Context, call func(context.Context) ([]outbox.Message, error),
) ([]outbox.Message, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, storeTimeout, errStoreSilent)
	defer cancel()
	return call(ctx)
}

// dispatch starts what was leased, or has it wait in line; what may have another URL by now is looked at first.
func (d *Dispatcher) dispatch(messages []outbox.Message, start func(outbox.Message)) {
	var stale []outbox.Message
	var left []outbox.Message
	messages, again := d.unrecorded.apart(messages)
	if again > 0 {
		d.log.Warn("the leases of messages ended before their attempts were recorded: they are not sent again",
			zap.Int("messages", again))
	}
	for i := range messages {
		m, now := &messages[i], time.Now()
		if !d.timely(m, now) {
			left = append(left, *m)
			continue
		}
		d.pace.spend(m, now)
		switch started := d.gate.take(m, now); {
		case started && m.Stale():
			stale = append(stale, *m)
		case started:
			start(*m)
		}
	}
	d.refresh.add(stale...)
	d.leave(left...)
	d.follow(start)
}

// timely reports whether a request would end, and be recorded, before its lease ends: otherwise somebody else sends the
// message meanwhile. Without a whole timeout left it is not begun. The monotonic clock stops while the machine is
// suspended, and Postgres's may not: the wall clock has to agree.
func (d *Dispatcher) timely(m *outbox.Message, now time.Time) bool {
	left := min(m.LeaseEnds.Sub(now), m.LeaseEnds.Round(0).Sub(now.Round(0)))
	return left >= d.timeout+recording
}

// inTime sends a message that has its place, unless it is too late.
func (d *Dispatcher) inTime(send func(outbox.Message)) func(outbox.Message) {
	return func(m outbox.Message) {
		if d.timely(&m, time.Now()) {
			send(m)
			return
		}
		d.leave(m)
		d.giveBack(send)(m)
	}
}

// giveBack frees the place of a message that is not sent, for the next in line.
func (d *Dispatcher) giveBack(send func(outbox.Message)) func(outbox.Message) {
	return func(m outbox.Message) {
		d.gate.release(&m, time.Now(), false)
		d.follow(send)
	}
}

// follow sends the messages in line that there are places for.
func (d *Dispatcher) follow(send func(outbox.Message)) {
	for {
		m, ok := d.next()
		if !ok {
			return
		}
		send(m)
	}
}

// next returns a message of the line that has got a place. Messages that may have another URL by now are
// checked first, and those that must not be sent for now are left.
func (d *Dispatcher) next() (outbox.Message, bool) {
	for {
		now := time.Now()
		m, left, ok := d.gate.next(now)
		d.leave(left...)
		sent := d.timely(&m, now) && !d.settler.outage.failing.Load() && !d.shortage.holds(now)
		switch {
		case !ok:
			return m, false
		case sent && !m.Stale():
			return m, true
		case sent && d.refresh.add(m):
			continue
		}
		d.gate.release(&m, now, false)
		d.leave(m)
	}
}

// leave has leased messages given back by the next claim.
func (d *Dispatcher) leave(messages ...outbox.Message) {
	if len(messages) > 0 {
		d.notSent.add(bodiless(messages)...)
		d.Nudge()
	}
}

// await returns when another claim is worth it: on a nudge, when enough places are free for which messages may be
// waiting, shortly after any such place is, or with the next poll. A nudge that found no place is made good with the
// first one that is free.
func (d *Dispatcher) await(ctx context.Context) {
	poll := time.NewTimer(pollInterval)
	defer poll.Stop()
	var lingered <-chan time.Time
	var until time.Time
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
			now, after := d.gate.worth()
			if now || d.crowded && after > 0 {
				return
			}
			if after > 0 && (lingered == nil || time.Until(until) > after) {
				lingered, until = time.After(after), time.Now().Add(after)
			}
		}
	}
}
