package main

import (
	"context"
	"fmt"
	"regexp"
	"time"
)

// relay is a process of run, on a database.
type relay struct {
	*child
	began time.Time
}

// startRelay starts a relay with these settings.
func (d *database) startRelay(ctx context.Context, settings ...string) (*relay, error) {
	environ := append([]string{
		"DATABASE_URL=" + d.url, "DEPLOYMENT=bench", "REPLICATION_SLOT=" + d.name,
		"DELIVERY_ALLOW_HTTP=true", "DELIVERY_ALLOW_NETWORKS=127.0.0.0/8", "ADMIN_ADDR=", "LOG_LEVEL=warn",
	}, settings...)
	began := time.Now()
	c, err := start(ctx, "the relay", d.b.binary, environ, []string{"run"})
	return &relay{child: c, began: began}, err
}

// awaitSlot waits until some relay streams.
func (d *database) awaitSlot(ctx context.Context) error {
	return d.await(ctx, time.Minute, 5*time.Millisecond, "a relay streams",
		"select exists (select from pg_replication_slots where database = current_database() and active and confirmed_flush_lsn is not null)"+
			" and to_regclass('attendee_relay.checkpoint') is not null")
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
	r, err := d.startRelay(ctx, settings...)
	if err != nil {
		return err
	}
	if err := d.awaitStreaming(ctx); err != nil {
		return r.failed(err)
	}
	return r.stop()
}

var passwords = regexp.MustCompile(`://[^@ ]*@`)

// failed stops the relay and adds what it said to err.
func (r *relay) failed(err error) error {
	_ = r.stop()
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w; the relay said: %s", err, passwords.ReplaceAll(lastOf(r.said.Bytes()), []byte("://")))
}
