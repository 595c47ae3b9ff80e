package main

import (
	"context"
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

// create makes a database and writes everything out, so that nothing of it is left to be done while something is measured.
func (b *bench) create(ctx context.Context, name string) (*database, error) {
	if err := execute(ctx, b.server.URL("postgres"), fmt.Sprintf("create database %s template %s", name, template)); err != nil {
		return nil, err
	}
	d := &database{name: name, url: b.server.URL(name), b: b}
	var err error
	if d.conn, err = pgx.Connect(ctx, d.url); err != nil {
		return nil, fmt.Errorf("connecting to Postgres: %w", err)
	}
	return d, errors.Join(d.exec(ctx, "checkpoint"), d.exec(ctx, "select pg_stat_statements_reset()"))
}

// drop removes the database, and its slot.
func (d *database) drop(ctx context.Context) error {
	err := errors.Join(d.writeStatements(ctx), d.await(ctx, 10*time.Second, 5*time.Millisecond, "the slot is free",
		"select not exists (select from pg_replication_slots where database = current_database() and active)"), d.exec(ctx, "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = current_database()"))
	return errors.Join(err, d.conn.Close(ctx), execute(ctx, d.b.server.URL("postgres"), "drop database "+d.name+" with (force)"))
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

// singly runs an UPDATE of each attendee from first to last in a transaction of its own. They wait for no disk, so that making
// the work takes less than doing it; the server flushes them on its own.
func (d *database) singly(ctx context.Context, set string, first, last int) error {
	return d.exec(ctx, fmt.Sprintf(`do $$ begin
		set synchronous_commit = off;
		for n in %d..%d loop
			update attendees set %s where id = n;
			commit;
		end loop;
	end $$`, first, last, set))
}

const accepted = "status = 'Accepted'"

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

// awaitSettled waits until no message is pending and the relay has recorded everything of before.
func (d *database) awaitSettled(ctx context.Context, within time.Duration) error {
	return d.await(ctx, within, 5*time.Millisecond, "every message is settled",
		"select not exists (select from attendee_relay.pending) and not exists (select from attendee_relay.acceptance where state = 'waiting')")
}
