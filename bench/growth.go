package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
)

// How much is in the grown databases.
const (
	grownLedger    = 1_000_000
	grownDelivered = 5_000_000
	grownPending   = 1_000_000
)

var (
	//go:embed growth_delivered.sql
	growthDeliveredSQL string
	//go:embed growth_paused.sql
	growthPausedSQL string
)

// growthKind is a database that has grown: its ledger before the relay's first start, the rest by a script.
type growthKind struct {
	name        string
	ledger      int
	script      string
	rows        int
	rate, share *figure
}

var growthKinds = []growthKind{
	{
		"grown_delivered", grownLedger, growthDeliveredSQL, grownDelivered,
		&figure{"growth: webhooks with 1,000,000 accepted before and 5,000,000 messages delivered", "1/s", ""},
		&figure{"growth: share of the small database's rate", "", ">= 0.9"},
	},
	{
		"grown_paused", 0, growthPausedSQL, grownPending,
		&figure{"growth: webhooks with 1,000,000 messages of 50 paused endpoints", "1/s", ""},
		&figure{"growth: share of the small database's rate beside paused endpoints", "", ">= 0.9"},
	},
}

var growthSmall = &figure{"growth: webhooks in a small database", "1/s", ""}

// growth drains in databases that have grown, and in a small one just before each: minutes apart, the machine is not
// the same.
func growth(ctx context.Context, b *bench) (samples []sample, err error) {
	for _, kind := range growthKinds {
		grown, err := b.grow(ctx, kind)
		if err != nil {
			return nil, fmt.Errorf("filling the database %s: %w", kind.name, err)
		}
		small, err := b.drainSmall(ctx)
		if err != nil {
			return nil, err
		}
		took, err := grown.drain(ctx, warmed+1, drainSettings)
		if err := errors.Join(err, grown.rewind(ctx, took.webhooks)); err != nil {
			return nil, err
		}
		samples = append(samples, sample{growthSmall, small.rate()}, sample{kind.rate, took.rate()},
			sample{kind.share, took.rate() / small.rate()})
	}
	return samples, nil
}

// drainSmall drains as growth does, in a database with nothing else in it.
func (b *bench) drainSmall(ctx context.Context) (took drainage, err error) {
	err = b.within(ctx, "growth", func(d *database) error {
		err := d.meet(ctx)
		if err == nil {
			took, err = d.drain(ctx, warmed+1, drainSettings)
		}
		return err
	})
	return took, err
}

// meet has every endpoint answer once.
func (d *database) meet(ctx context.Context) error {
	return d.withRelay(ctx, func(*relay) error { return d.warm(ctx, warmed) }, drainSettings)
}

// grow fills a grown database once. There is no slot while it is filled, because the relay would have to read all of it
// from the WAL; the next relay finds the slot lost, makes another, and compares the ledger with the table.
func (b *bench) grow(ctx context.Context, kind growthKind) (*database, error) {
	if d := b.grown[kind.name]; d != nil {
		return d, nil
	}
	d, err := b.create(ctx, kind.name)
	if err != nil {
		return nil, err
	}
	b.grown[kind.name] = d
	if err := d.register(ctx, b.size(kind.ledger), "1 + n % 100", "Accepted"); err != nil {
		return nil, err
	}
	if err := errors.Join(d.meet(ctx), d.dropSlots(ctx)); err != nil {
		return nil, err
	}
	settings := fmt.Sprintf("set synchronous_commit = off; set bench.rows = %d;", b.size(kind.rows))
	return d, errors.Join(execute(ctx, d.url, settings+kind.script), d.exec(ctx, "vacuum analyze"),
		d.checkGrown(ctx, kind), d.exec(ctx, "checkpoint"), d.exec(ctx, "select pg_stat_statements_reset()"))
}

// checkGrown refuses a database that does not hold what it should.
func (d *database) checkGrown(ctx context.Context, kind growthKind) error {
	messages, ledger := d.b.size(kind.rows)+warmed, d.b.size(kind.ledger)+warmed
	want := fmt.Sprintf("%d messages, %d settled or pending, %d accepted", messages, messages, ledger)
	found, err := value[string](ctx, d, `select format('%s messages, %s settled or pending, %s accepted',
		(select count(*) from attendee_relay.message),
		(select count(*) from attendee_relay.settled) + (select count(*) from attendee_relay.pending),
		(select count(*) from attendee_relay.ledger))`)
	if err == nil && found != want {
		err = fmt.Errorf("it holds %s; it should hold %s", found, want)
	}
	return err
}

// rewind makes the accepted attendees wait again, so that the next round finds the database as this one did. Without a
// slot nobody reads the changes, and none keeps the WAL of the scenarios in between.
func (d *database) rewind(ctx context.Context, n int) error {
	if err := errors.Join(d.writeStatements(ctx), d.dropSlots(ctx)); err != nil {
		return err
	}
	return errors.Join(
		d.exec(ctx, "update attendees set status = 'Pending' where id between $1 and $2", warmed+1, warmed+n),
		d.exec(ctx, "vacuum attendees"))
}
