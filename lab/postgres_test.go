package lab

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// crash ends Postgres as a power cut would.
func crash(l *laboratory) (outcome, bool) {
	if l.down {
		return outcome{}, false
	}
	if err := l.server.Crash(); err != nil {
		l.t.Fatal(err)
	}
	l.down = true
	return outcome{relay: everybody, lasts: l.between(0, 2*time.Second), heal: func() bool {
		if err := l.server.Restart(l.t.Context()); err != nil {
			l.t.Fatal(err)
		}
		l.down = false
		return true
	}}, true
}

// slowRestart: a walsender whose relay does not let go makes Postgres wait until it is given up on.
const slowRestart = 8 * time.Second

// restart is an operator's restart of Postgres, which waits for the walsenders to have sent everything.
func restart(l *laboratory) (outcome, bool) {
	if l.down {
		return outcome{}, false
	}
	began := time.Now()
	if err := l.server.Restart(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
	took := time.Since(began)
	l.slowestRestart = max(l.slowestRestart, took)
	if took > slowRestart && l.journal.touching(everybody, began, time.Now(), "freeze", "stall") == nil {
		l.t.Errorf("stopping and starting Postgres took %v at %s: a relay held it up", took, l.journal.at(began))
	}
	return outcome{relay: everybody}, true
}

// terminate ends a session of a relay's.
func terminate(l *laboratory) (outcome, bool) {
	type session struct {
		PID        int
		Role, Name string
	}
	rows, err := l.ask(`select pid, usename::text, application_name from pg_stat_activity
		where application_name like 'attendee-relay/%' and usename like 'relay~_%' escape '~' order by backend_start, pid`)
	if err != nil {
		return outcome{}, false
	}
	sessions, err := pgx.CollectRows(rows, pgx.RowToStructByPos[session])
	if err != nil || len(sessions) == 0 {
		return outcome{}, false
	}
	chosen, number := sessions[l.random.IntN(len(sessions))], 0
	if err := l.exec("select pg_terminate_backend($1)", chosen.PID); err != nil {
		return outcome{}, false
	}
	if _, err := fmt.Sscanf(chosen.Role, "relay_%d", &number); err != nil {
		l.t.Fatal(err)
	}
	return outcome{relay: number, detail: "of " + chosen.Name}, true
}

// fillTable makes every change of one of the relay's tables fail as on a full disk.
func fillTable(l *laboratory) (outcome, bool) {
	table, lasts := l.table(), l.between(200*time.Millisecond, 4*time.Second)
	err := l.exec("insert into lab.full_tables values ($1, clock_timestamp() + $2 * interval '1 second')", table,
		lasts.Seconds())
	return outcome{relay: everybody, detail: table, lasts: lasts}, err == nil
}

// lockTable holds one of the relay's tables, as VACUUM FULL or a careless session would.
func lockTable(l *laboratory) (outcome, bool) {
	ctx, cancel := context.WithTimeout(l.t.Context(), 5*time.Second)
	defer cancel()
	tx, err := l.pool.Begin(ctx)
	if err != nil {
		return outcome{}, false
	}
	table := l.table()
	if _, err = tx.Exec(ctx, "set local lock_timeout = '2s'"); err == nil {
		_, err = tx.Exec(ctx, "lock table attendee_relay."+table+" in access exclusive mode")
	}
	if err != nil {
		_ = tx.Rollback(ctx)
		return outcome{}, false
	}
	return outcome{relay: everybody, detail: table, lasts: l.between(500*time.Millisecond, 5*time.Second),
		heal: func() bool {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			_ = tx.Rollback(ctx) // a server that crashed meanwhile has released it
			return true
		}}, true
}
