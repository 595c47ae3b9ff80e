package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"attendee-relay/internal/cutproxy"
	"attendee-relay/internal/pgserver"
	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

// cluster is a primary with one standby, named second. The application and the relay have one address each, which leads
// to the primary until failOver.
type cluster struct {
	primary, standby *pgserver.Server
	own              *pgtest.DB      // on the first primary
	db               *pgtest.DB      // as the application finds it
	address, network *cutproxy.Proxy // the application's way, and the relay's
	wal              *cutproxy.Proxy // by which the standby follows
}

func startCluster(t *testing.T, o pgserver.StandbyOptions) *cluster {
	t.Helper()
	c := &cluster{primary: pgtest.Start(t, nil)}
	c.own = pgtest.On(t, c.primary)
	c.address, c.network, c.wal = relaytest.Proxy(t, c.own), relaytest.Proxy(t, c.own), relaytest.Proxy(t, c.own)
	c.db = c.own.By(t, c.address.Addr())
	o.Name, o.Slot, o.Primary = "second", "second", c.wal.Addr()
	c.standby = pgtest.Standby(t, c.primary, o)
	return c
}

// synchronous makes commits wait for the standby, and returns when they do.
func (c *cluster) synchronous(t *testing.T) {
	t.Helper()
	c.own.Exec(t, "alter system set synchronous_standby_names = 'second'")
	c.own.Exec(t, "select pg_reload_conf()")
	pgtest.WaitUntil(t, ready, "the standby is synchronous", func() (bool, string) {
		states := pgtest.Values[string](t, c.own,
			"select sync_state from pg_stat_replication where application_name = 'second'")
		return slices.Equal(states, []string{"sync"}), fmt.Sprint(states)
	})
}

// run starts a relay.
func (c *cluster) run(t *testing.T, settings ...string) *relaytest.Relay {
	t.Helper()
	relay := relaytest.Run(t, c.own, append(settings, relaytest.Through(t, c.own, c.network),
		"REPLICATION_TAKEOVER=2s")...)
	relay.AwaitRole(t, ready, "leader")
	return relay
}

// failOver crashes the primary, promotes the standby and leads everybody there.
func (c *cluster) failOver(t *testing.T) {
	t.Helper()
	if err := c.primary.Crash(); err != nil {
		t.Fatal(err)
	}
	if err := c.standby.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, way := range []*cutproxy.Proxy{c.address, c.network} {
		way.Switch(net.JoinHostPort("127.0.0.1", strconv.Itoa(c.standby.Port())))
		way.Resume()
	}
}

// arrivals registers accepted attendees, one after the other, until it is stopped; the database may be away meanwhile.
func arrivals(t *testing.T, db *pgtest.DB, event int64) (stop func()) {
	t.Helper()
	pool := db.OwnerPool(t, func(c *pgxpool.Config) {
		c.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return true }
	})
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	for range 3 {
		done.Go(func() {
			for ctx.Err() == nil {
				// It is not interrupted: giving up the wait for a standby would commit.
				step, end := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
				_, _ = pool.Exec(step, "insert into attendees (event_id, name, surname, status) values ($1, 'Ada', 'Lovelace', "+
					"'Accepted')", event)
				end()
				select {
				case <-time.After(10 * time.Millisecond):
				case <-ctx.Done():
				}
			}
		})
	}
	stop = func() {
		cancel()
		done.Wait()
	}
	t.Cleanup(stop)
	return stop
}

// acceptPhantom accepts somebody in a commit that waits for the standby. It returns once the relay has received the
// commit and confirmed that it was written.
func (c *cluster) acceptPhantom(t *testing.T, event int64) *sync.WaitGroup {
	t.Helper()
	pool := c.own.OwnerPool(t)
	waiting := new(sync.WaitGroup)
	waiting.Go(func() {
		_, _ = pool.Exec(context.Background(), fmt.Sprintf(`begin; set local synchronous_commit = on;
			insert into attendees (event_id, name, surname, status) values (%d, 'Phantom', 'Lovelace', 'Accepted');
			commit`, event),
			pgx.QueryExecModeSimpleProtocol)
	})
	pgtest.WaitUntil(t, ready, "the commit waits for the standby", func() (bool, string) {
		waits := pgtest.Values[string](t, c.own,
			"select coalesce(wait_event, '') from pg_stat_activity where query like '%Phantom%' and pid <> pg_backend_pid()")
		return slices.Equal(waits, []string{"SyncRep"}), fmt.Sprint(waits)
	})
	at := pgtest.Value[string](t, c.own, "select pg_current_wal_insert_lsn()::text")
	pgtest.WaitUntil(t, ready, "the relay has got it", func() (bool, string) {
		got := pgtest.Values[string](t, c.own,
			"select write_lsn::text from pg_stat_replication where write_lsn >= $1::text::pg_lsn and application_name like "+
				"'%walsender'", at)
		return len(got) == 1, at
	})
	return waiting
}

// awaitStandby waits until the standby has everything.
func (c *cluster) awaitStandby(t *testing.T) {
	t.Helper()
	pgtest.WaitUntil(t, ready, "the standby has everything", func() (bool, string) {
		behind := pgtest.Value[int64](t, c.own, `select (pg_current_wal_insert_lsn() - flush_lsn)::bigint
			from pg_stat_replication
			where application_name = 'second'`)
		return behind <= 0, fmt.Sprint(behind, " bytes behind")
	})
}
