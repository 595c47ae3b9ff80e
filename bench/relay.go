package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"attendee-relay/demo"
)

// relay is a process of run, on a database.
type relay struct {
	*child
	began time.Time
}

// startRelay starts a relay with these settings.
func (d *database) startRelay(ctx context.Context, settings ...string) (*relay, error) {
	url, err := demo.RelayURL(d.url)
	if err != nil {
		return nil, err
	}
	environ := append([]string{
		"DATABASE_URL=" + url, "DEPLOYMENT=bench", "REPLICATION_SLOT=" + d.name,
		"DELIVERY_ALLOW_HTTP=true", "DELIVERY_ALLOW_NETWORKS=127.0.0.0/8", "ADMIN_ADDR=", "LOG_LEVEL=warn",
	}, settings...)
	began := time.Now()
	c, err := start(ctx, "the relay", d.b.binary, environ, []string{"run"})
	return &relay{child: c, began: began}, err
}

// awaitSlot waits until some relay streams.
func (d *database) awaitSlot(ctx context.Context) error {
	return d.await(ctx, time.Minute, 5*time.Millisecond, "a relay streams",
		"select exists (select from pg_replication_slots where database = current_database() and active "+
			"and confirmed_flush_lsn is not null) and to_regclass('attendee_relay.checkpoint') is not null")
}

// awaitStreaming waits until the baseline is recorded.
func (d *database) awaitStreaming(ctx context.Context) error {
	if err := d.awaitSlot(ctx); err != nil {
		return err
	}
	return d.await(ctx, time.Minute, 5*time.Millisecond, "the baseline is recorded",
		"select exists (select from attendee_relay.checkpoint where phase = 'streaming')")
}

// rest has a relay make its slot and stop, so that what happens from now on waits in the slot.
func (d *database) rest(ctx context.Context, settings ...string) error {
	return d.withRelay(ctx, func(*relay) error { return d.awaitStreaming(ctx) }, settings...)
}

// withRelay has a relay run while something is done.
func (d *database) withRelay(ctx context.Context, do func(r *relay) error, settings ...string) error {
	r, err := d.startRelay(ctx, settings...)
	if err != nil {
		return err
	}
	return r.failed(do(r))
}

// warmed is how many attendees have each of the 100 endpoints get a message, and most of them two.
const warmed = 200

// warm accepts the first n attendees, beside a relay, and waits for them: after a start the first message to each
// endpoint takes another way than those that follow, and each has had one then.
func (d *database) warm(ctx context.Context, n int) error {
	if err := errors.Join(d.awaitStreaming(ctx), d.b.receiver.reset(ctx), d.singly(ctx, accepted, 1, n)); err != nil {
		return err
	}
	return errors.Join(d.b.receiver.await(ctx, n, time.Minute), d.awaitSettled(ctx, time.Minute), d.b.receiver.reset(ctx))
}

var passwords = regexp.MustCompile(`://[^@ ]*@`)

// failed stops the relay; where that or something before went wrong, it adds what the relay said.
func (r *relay) failed(err error) error {
	err = errors.Join(err, r.stop())
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w; the relay said: %s", err, passwords.ReplaceAll(lastOf(r.said.Bytes()), []byte("://")))
}
