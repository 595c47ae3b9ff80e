package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// causes are the events around the relay, one at a time, at random moments.
type causes struct {
	site      *site
	relay     *relay
	receivers *receivers
	log       *journal
	random    *rand.Rand
	altered   int
}

// kind is a kind of cause.
type kind struct {
	name    string
	weight  int
	repeats bool     // requests may come a second time: contract 3
	codes   []string // the faults that it may bring about
	do      func(*causes, *testing.T) error
}

// away are the faults of a database that is not there.
var away = []string{"database_unreachable", "capture_failing", "rendering_failing", "delivery_failing", "slot_busy"}

var kinds = []kind{
	{"relay restarted", 12, false, nil, (*causes).restartRelay},
	{"relay killed", 10, true, []string{"capture_failing"}, (*causes).killRelay},
	{"catalogs analysed", 14, false, nil, (*causes).analyse},
	{"application alters tables", 30, false, nil, (*causes).alter},
	{"application locks the table", 5, false, []string{"capture_failing", "rendering_failing", "query_failing"},
		(*causes).lock},
	{"DBA ends the relay's sessions", 6, true, away, (*causes).terminate},
	{"server restarted", 4, true, away, (*causes).restartServer},
	{"flaky receivers down", 8, false, nil, (*causes).takeReceiversDown},
	{"role gets planner settings", 6, false, nil, (*causes).alterRole},
	{"long transaction", 6, false, nil, (*causes).holdTransaction},
}

// strike starts a cause every few seconds until the time is up.
func (c *causes) strike(t *testing.T, lasts time.Duration) {
	t.Helper()
	total := 0
	for _, k := range kinds {
		total += k.weight
	}
	pause := min(4*time.Second, lasts/5)
	for end := time.Now().Add(lasts); ; {
		wait := pause + time.Duration(c.random.Int64N(int64(pause)))
		if time.Now().Add(wait).After(end) {
			time.Sleep(time.Until(end))
			return
		}
		time.Sleep(wait)
		drawn := c.random.IntN(total)
		for _, k := range kinds {
			if drawn -= k.weight; drawn < 0 {
				entry := c.log.begin(k.name, k.repeats, k.codes...)
				c.end(t, entry, k.do(c, t))
				break
			}
		}
	}
}

// end logs the result of a cause. A cause that could not be carried out as written is a failure of the soak itself.
func (c *causes) end(t *testing.T, entry *cause, err error) {
	t.Helper()
	c.log.end(entry, err)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && strings.HasPrefix(refused.Code, "42") {
		t.Errorf("%s: %v", entry.name, err)
	}
}

// restart ends the relay and starts it again at once, as a deployment or a supervisor does.
func (c *causes) restart(t *testing.T, signal syscall.Signal) error {
	t.Helper()
	c.relay.end(t, signal)
	c.relay.again(t)
	c.relay.awaitReady(t)
	return nil
}

func (c *causes) restartRelay(t *testing.T) error {
	t.Helper()
	return c.restart(t, syscall.SIGTERM)
}

func (c *causes) killRelay(t *testing.T) error {
	t.Helper()
	return c.restart(t, syscall.SIGKILL)
}

// analyse renews the statistics of all catalogs again and again, among tables that come and go.
func (c *causes) analyse(t *testing.T) error {
	t.Helper()
	return exec(c.site.admin,
		"do $$ begin for i in 1..200 loop execute format('create table soak.t%s (i int)', i); end loop; end $$",
		"analyze", "vacuum analyze pg_class", "vacuum analyze pg_attribute", "analyze", "analyze", "analyze", "analyze",
		"do $$ begin for i in 1..200 loop execute format('drop table soak.t%s', i); end loop; end $$",
		"vacuum pg_class", "analyze")
}

// alterations are the application's migrations, in turn. N is a number of their own.
var alterations = [][]string{
	{"alter table attendees add column note_N text default 'none'", "update attendees set note_N = 'x' where id % 97 = 0"},
	{"create index concurrently attendees_email_N on attendees (email)", "drop index attendees_email_N"},
	{"create table waiting_list_N (attendee_id bigint references attendees, primary key (attendee_id))",
		"insert into waiting_list_N select id from attendees order by id limit 10", "drop table waiting_list_N"},
	{"alter table attendees add column phone_N varchar(200)",
		"alter table attendees alter column phone_N type varchar(100)", "alter table attendees drop column phone_N"},
	{"alter table attendees alter column status set default 'Applied'",
		"alter table attendees alter column status set default 'Pending'"},
	{"create or replace function touched() returns trigger language plpgsql as 'begin return new; end'",
		"create or replace trigger touched before update on attendees for each row execute function touched()"},
	{"alter table events add column place_N text", "alter table events drop column place_N"},
	{"vacuum full attendees"},
	{"create view people_N as select id, name from attendees", "drop view people_N"},
	{"create type size_N as enum ('S', 'M')", "alter type size_N add value 'L'",
		"alter table attendees add column size_N size_N", "alter table attendees drop column size_N", "drop type size_N"},
	{"alter table attendees set (fillfactor = 80)", "cluster attendees using attendees_pkey"},
}

// alter runs the next of the application's migrations.
func (c *causes) alter(t *testing.T) error {
	t.Helper()
	c.altered++
	for _, statement := range alterations[c.altered%len(alterations)] {
		if err := exec(c.site.app, strings.ReplaceAll(statement, "N", strconv.Itoa(c.altered))); err != nil {
			return err
		}
	}
	return nil
}

// lock has a migration lock the watched table, sometimes for longer than a stage may rest without a fault.
func (c *causes) lock(t *testing.T) error {
	t.Helper()
	lasts := time.Duration(1+c.random.IntN(14)) * time.Second
	return pgx.BeginFunc(t.Context(), c.site.app, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), "lock table attendees in access exclusive mode")
		time.Sleep(lasts)
		return err
	})
}

func (c *causes) terminate(t *testing.T) error {
	t.Helper()
	return exec(c.site.admin, "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'attendee_relay'")
}

func (c *causes) restartServer(t *testing.T) error {
	t.Helper()
	return c.site.server.Restart(t.Context())
}

func (c *causes) takeReceiversDown(t *testing.T) error {
	t.Helper()
	c.receivers.down.Store(true)
	time.Sleep(time.Duration(2+c.random.IntN(20)) * time.Second)
	c.receivers.heal()
	return nil
}

// alterRole gives the relay's role the planner settings of a DBA who experiments, and ends its sessions.
func (c *causes) alterRole(t *testing.T) error {
	t.Helper()
	settings := []string{"enable_indexscan", "enable_nestloop", "enable_hashjoin", "enable_bitmapscan", "enable_sort"}
	setting := settings[c.random.IntN(len(settings))]
	if err := exec(c.site.admin, "alter role attendee_relay set "+setting+" = off"); err != nil {
		return err
	}
	err := c.restart(t, syscall.SIGTERM)
	time.Sleep(time.Duration(1+c.random.IntN(30)) * time.Second)
	if reset := exec(c.site.admin, "alter role attendee_relay reset "+setting); err == nil {
		err = reset
	}
	return err
}

// holdTransaction keeps open a transaction of the application that has changed something.
func (c *causes) holdTransaction(t *testing.T) error {
	t.Helper()
	return pgx.BeginFunc(t.Context(), c.site.app, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), "update groups set name = name")
		time.Sleep(time.Duration(5+c.random.IntN(20)) * time.Second)
		return err
	})
}

// exec runs statements one by one; errors are logged and fail nothing.
func exec(pool *pgxpool.Pool, statements ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for _, s := range statements {
		if _, err := pool.Exec(ctx, s, pgx.QueryExecModeSimpleProtocol); err != nil {
			return fmt.Errorf("running %q: %w", s, err)
		}
	}
	return nil
}
