package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
)

// idleSeconds is how long nothing happens, after idleBefore. By then the relay has done its rarest work once, looking
// for old bodies and rows (once a minute), and has stored its position after that. Postgres lets the first reader of a
// page after the work tidy it up, and writes that into the WAL, once.
const (
	idleSeconds = 60
	idleBefore  = 80 * time.Second
)

var (
	idleCPU          = &figure{"idle: relay's CPU", "% of a core", "<= 0.5"}
	idleStatements   = &figure{"idle: statements", "1/s", "<= 2"}
	idleTransactions = &figure{"idle: transactions", "1/s", ""}
	idleWAL          = &figure{"idle: WAL of the relay's statements", "bytes", "0"}
	idleServerWAL    = &figure{"idle: WAL of the whole server", "bytes", ""}
	idleMemory       = &figure{"idle: RSS", "MiB", "<= 24"}
)

// idle looks at a relay that has nothing to do. Autovacuum, whose WAL the relay would have to read, rests as well.
func idle(ctx context.Context, b *bench) (samples []sample, err error) {
	err = b.within(ctx, "idle", func(d *database) (err error) {
		if err := d.configure(ctx, "alter system set autovacuum = off"); err != nil {
			return err
		}
		defer func() {
			err = errors.Join(err, d.configure(context.WithoutCancel(ctx), "alter system reset autovacuum"))
		}()
		return d.withRelay(ctx, func(r *relay) (err error) {
			samples, err = d.idle(ctx, r)
			return err
		})
	})
	return samples, err
}

// configure changes a setting of the server.
func (d *database) configure(ctx context.Context, change string) error {
	return errors.Join(d.exec(ctx, change), d.exec(ctx, "select pg_reload_conf()"))
}

// idle leaves nothing to be vacuumed or written out.
func (d *database) idle(ctx context.Context, r *relay) ([]sample, error) {
	if err := d.warm(ctx, warmed); err != nil {
		return nil, err
	}
	for _, tidy := range []string{"analyze", "vacuum", "checkpoint"} {
		if err := d.exec(ctx, tidy); err != nil {
			return nil, err
		}
	}
	if err := sleep(ctx, idleBefore); err != nil {
		return nil, err
	}
	// Watching from another database, the bench does nothing in this one.
	watch, err := pgx.Connect(ctx, d.b.server.URL(template))
	if err != nil {
		return nil, fmt.Errorf("connecting to Postgres: %w", err)
	}
	defer func() { _ = watch.Close(context.WithoutCancel(ctx)) }()
	before, err := d.activity(ctx, r, watch)
	if err != nil {
		return nil, err
	}
	if err := sleep(ctx, time.Duration(d.b.size(idleSeconds))*time.Second); err != nil {
		return nil, err
	}
	after, err := d.activity(ctx, r, watch)
	if err != nil {
		return nil, err
	}
	for query, wal := range after.writing {
		if wrote := wal - before.writing[query]; wrote > 0 {
			fmt.Fprintf(os.Stderr, "  %d bytes of WAL: %s\n", wrote, query)
		}
	}
	now, err := memory(r.pid())
	seconds := after.at.Sub(before.at).Seconds()
	return []sample{
		{idleCPU, 100 * (after.cpu - before.cpu) / seconds},
		{idleStatements, float64(after.statements-before.statements) / seconds},
		{idleTransactions, float64(after.transactions-before.transactions) / seconds},
		{idleWAL, float64(after.wal - before.wal)}, {idleServerWAL, float64(after.serverWAL - before.serverWAL)},
		{idleMemory, now},
	}, err
}

// activity is what a relay and its database have done up to a moment.
type activity struct {
	at                                       time.Time
	cpu                                      float64
	statements, transactions, wal, serverWAL int64
	writing                                  map[string]int64 // bytes of WAL, by the beginning of the statement
}

const activitySQL = `select coalesce(sum(s.calls), 0)::bigint, min(d.xact_commit + d.xact_rollback),
		coalesce(sum(s.wal_bytes), 0)::bigint, (pg_current_wal_insert_lsn() - '0/0')::bigint
	from pg_stat_database d left join pg_stat_statements s on s.dbid = d.datid
	where d.datname = $1`

const writingSQL = `select coalesce(jsonb_object_agg(query, wal), '{}')
	from (select left(regexp_replace(query, '\s+', ' ', 'g'), 100) as query, sum(wal_bytes)::bigint as wal
	        from pg_stat_statements
	       where dbid = (select oid from pg_database where datname = $1) and wal_bytes > 0
	       group by 1) s`

func (d *database) activity(ctx context.Context, r *relay, watch *pgx.Conn) (a activity, err error) {
	a.at = time.Now()
	if a.cpu, err = cpuOf(r.pid()); err != nil {
		return a, err
	}
	err = watch.QueryRow(ctx, activitySQL, d.name).Scan(&a.statements, &a.transactions, &a.wal, &a.serverWAL)
	if err != nil {
		return a, fmt.Errorf("reading the statistics of Postgres: %w", err)
	}
	if err = watch.QueryRow(ctx, writingSQL, d.name).Scan(&a.writing); err != nil {
		err = fmt.Errorf("reading which statements write WAL: %w", err)
	}
	return a, err
}

// sleep ends early with ctx.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
