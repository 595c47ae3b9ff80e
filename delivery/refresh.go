package delivery

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"attendee-relay/internal/fault"
	"attendee-relay/outbox"
)

// refreshBatch is the most messages whose URLs are asked for at once.
const refreshBatch = 500

// refresher asks for the present URLs of messages before they are retried. It is separate from claiming, because it
// runs the operator's own query, which may be slow: messages that are sent for the first time must not wait for it.
type refresher struct {
	store Store
	// stale are batches of leased messages that have their places already; there is room for as many as there are places.
	stale chan []outbox.Message
	lost  outage
	task  *fault.Task

	mu    sync.Mutex
	ended bool
}

// add hands messages in, and reports false after the end.
func (r *refresher) add(messages ...outbox.Message) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ended && len(messages) > 0 {
		r.stale <- messages
	}
	return !r.ended
}

// end has run return when it has handed on what is there.
func (r *refresher) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	close(r.stale)
}

// run refreshes until stale is closed and empty, and passes on the messages to be sent; drop gives back the places of
// the rest. Between batches, until idle ends, it looks after endpoints that get nothing.
func (r *refresher) run(idle, requests context.Context, send, drop func(outbox.Message)) {
	tick := time.NewTicker(idleInterval)
	defer tick.Stop()
	for {
		select {
		case batch, open := <-r.stale:
			if !open {
				return
			}
			r.refresh(requests, r.gather(batch), send, drop)
		case <-tick.C:
			if idle.Err() == nil {
				r.look(idle)
			}
		}
	}
}

// gather adds the batches that are there already.
func (r *refresher) gather(batch []outbox.Message) []outbox.Message {
	for len(batch) < refreshBatch {
		select {
		case more := <-r.stale:
			if more == nil {
				return batch
			}
			batch = append(batch, more...)
		default:
			return batch
		}
	}
	return batch
}

func (r *refresher) refresh(ctx context.Context, batch []outbox.Message, send, drop func(outbox.Message)) {
	type place struct {
		row   int64
		token uuid.UUID
	}
	places := make(map[place]outbox.Message, len(batch))
	for _, m := range batch {
		places[place{m.Row, m.Token}] = m
	}
	ctx, cancel := context.WithTimeoutCause(ctx, storeTimeout, errStoreSilent)
	defer cancel()
	r.task.Begin()
	left, err := r.store.Refresh(ctx, batch)
	r.task.End(nil) // where the question fails, messages go where they went before
	r.note(err)
	for _, m := range left {
		delete(places, place{m.Row, m.Token})
		send(m)
	}
	for _, m := range places {
		drop(m)
	}
}

// look goes on as long as there are endpoints whose turn it is, for a poll's time at most.
func (r *refresher) look(ctx context.Context) {
	ctx, cancel := context.WithTimeoutCause(ctx, storeTimeout, errStoreSilent)
	defer cancel()
	for began := time.Now(); time.Since(began) < pollInterval && len(r.stale) == 0; {
		r.task.Begin()
		more, err := r.store.Look(ctx)
		r.task.End(nil)
		if ctx.Err() != nil {
			return
		}
		r.note(err)
		if !more || err != nil {
			return
		}
	}
}

func (r *refresher) note(err error) {
	if err != nil {
		r.lost.failed(err)
	} else {
		r.lost.recovered()
	}
}
