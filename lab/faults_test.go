package lab

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// kinds are all faults and how often each is drawn.
var kinds = []kind{
	{"kill", 22, kill},
	{"term", 6, term},
	{"freeze", 8, freeze},
	{"crash", 6, crash},
	{"restart", 3, restart},
	{"terminate", 10, terminate},
	{"cut", 9, cut},
	{"stall", 8, stall},
	{"full", 8, fillTable},
	{"lock", 6, lockTable},
	{"receiver", 14, disturb},
	{"slot", 2, loseSlot},
}

// well draws a relay that no fault has struck.
func (l *laboratory) well() (*relay, bool) {
	var whole []*relay
	for _, r := range l.relays {
		if !r.struck {
			whole = append(whole, r)
		}
	}
	if len(whole) == 0 {
		return nil, false
	}
	r := whole[l.random.IntN(len(whole))]
	r.struck = true
	return r, true
}

// again starts a relay that ended.
func (l *laboratory) again(r *relay) func() bool {
	return func() bool {
		r.start(l.t)
		r.struck = false
		return true
	}
}

// kill ends a relay as a power cut would, in whatever it was doing.
func kill(l *laboratory) (outcome, bool) {
	r, ok := l.well()
	if !ok {
		return outcome{}, false
	}
	r.retire(l.t)
	return outcome{relay: r.number, lasts: l.between(0, 2*time.Second), heal: l.again(r)}, true
}

// term asks a relay to end; it has SHUTDOWN_TIMEOUT and a little to do so.
func term(l *laboratory) (outcome, bool) {
	r, ok := l.well()
	if !ok {
		return outcome{}, false
	}
	r.Signal(l.t, syscall.SIGTERM)
	asked := time.Now()
	return outcome{relay: r.number, heal: func() bool {
		select {
		case <-r.Ended():
			if status := r.Exit(l.t, time.Second); status != 0 {
				l.t.Errorf("relay %d ended with status %d after SIGTERM at %s", r.number, status, l.journal.at(asked))
			}
			r.retire(l.t)
			return l.again(r)()
		default:
			if time.Since(asked) > 20*time.Second {
				l.t.Errorf("relay %d did not end within 20 s of SIGTERM at %s", r.number, l.journal.at(asked))
				r.retire(l.t)
				return l.again(r)()
			}
			return false
		}
	}}, true
}

// freeze stops a relay for longer than the takeover, now and then for longer than its leases.
func freeze(l *laboratory) (outcome, bool) {
	r, ok := l.well()
	if !ok {
		return outcome{}, false
	}
	r.Freeze(l.t)
	lasts := l.between(takeover, 3*takeover)
	if l.random.IntN(8) == 0 {
		lasts = 20 * time.Second
	}
	return outcome{relay: r.number, lasts: lasts, heal: func() bool {
		r.Signal(l.t, syscall.SIGCONT)
		r.struck = false
		return true
	}}, true
}

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
	err := l.exec("insert into lab.full_tables values ($1, clock_timestamp() + $2 * interval '1 second')", table, lasts.Seconds())
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
	return outcome{relay: everybody, detail: table, lasts: l.between(500*time.Millisecond, 5*time.Second), heal: func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = tx.Rollback(ctx) // a server that crashed meanwhile has released it
		return true
	}}, true
}

// disturb puts an endpoint out of order.
func disturb(l *laboratory) (outcome, bool) {
	endpoint, how := l.random.IntN(endpoints), manners[l.random.IntN(len(manners))]
	l.receiver.behave(endpoint, how)
	return outcome{relay: everybody, detail: fmt.Sprintf("%d %s", endpoint, how), lasts: l.between(500*time.Millisecond, 6*time.Second),
		heal: func() bool {
			l.receiver.behave(endpoint, well)
			return true
		}}, true
}
