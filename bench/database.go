package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// database is a copy of the template.
type database struct {
	name string
	url  string
	conn *pgx.Conn
	b    *bench
}

// execute runs statements on a connection of their own.
func execute(ctx context.Context, url, statements string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("connecting to Postgres: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.PgConn().Exec(ctx, statements).ReadAll(); err != nil {
		return fmt.Errorf("preparing a database: %w", err)
	}
	return nil
}

// create makes a database and flushes it to the disk, so that nothing of it is left to do while something is measured.
func (b *bench) create(ctx context.Context, name string) (*database, error) {
	err := execute(ctx, b.server.URL("postgres"), fmt.Sprintf("create database %s template %s", name, template))
	if err != nil {
		return nil, err
	}
	d := &database{name: name, url: b.server.URL(name), b: b}
	if d.conn, err = pgx.Connect(ctx, d.url); err != nil {
		return nil, fmt.Errorf("connecting to Postgres: %w", err)
	}
	return d, errors.Join(d.exec(ctx, "checkpoint"), d.exec(ctx, "select pg_stat_statements_reset()"))
}

// within makes a database for what is done in it.
func (b *bench) within(ctx context.Context, name string, do func(d *database) error) error {
	d, err := b.create(ctx, name)
	if err != nil {
		return err
	}
	return errors.Join(do(d), d.drop(context.WithoutCancel(ctx)))
}

// drop removes the database, and its slots.
func (d *database) drop(ctx context.Context) error {
	err := errors.Join(d.writeStatements(ctx), d.dropSlots(ctx))
	return errors.Join(err, d.conn.Close(ctx),
		execute(ctx, d.b.server.URL("postgres"), "drop database "+d.name+" with (force)"))
}

// dropSlots waits until the server has noticed that the slots' readers are gone.
func (d *database) dropSlots(ctx context.Context) error {
	const own = "from pg_replication_slots where database = current_database()"
	if err := d.await(ctx, stopTimeout, 5*time.Millisecond, "nobody reads the slots",
		"select not exists (select "+own+" and active)"); err != nil {
		return err
	}
	return d.exec(ctx, "select pg_drop_replication_slot(slot_name) "+own)
}

func (d *database) exec(ctx context.Context, statement string, arguments ...any) error {
	if _, err := d.conn.Exec(ctx, statement, arguments...); err != nil {
		return fmt.Errorf("in the bench's database: %w", err)
	}
	return nil
}

// value reads one value.
func value[T any](ctx context.Context, d *database, query string, arguments ...any) (T, error) {
	var v T
	err := d.conn.QueryRow(ctx, query, arguments...).Scan(&v)
	if err != nil {
		err = fmt.Errorf("asking the bench's database: %w", err)
	}
	return v, err
}

// await asks until the answer is yes. Asking costs something: every is how long it waits between two questions.
func (d *database) await(ctx context.Context, within, every time.Duration, what, question string) error {
	deadline := time.Now().Add(within)
	for {
		yes, err := value[bool](ctx, d, question)
		if err != nil || yes {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("after %v still not: %s", within, what)
		}
		select {
		case <-time.After(every):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

//go:embed settled.sql
var settledSQL string

// awaitSettled waits until of what the relay has recorded nothing is left to be done.
func (d *database) awaitSettled(ctx context.Context, within time.Duration) error {
	return d.await(ctx, within, 5*time.Millisecond, "every message is settled", settledSQL)
}
