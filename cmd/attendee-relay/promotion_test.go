package main

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"attendee-relay/internal/cutproxy"
	"attendee-relay/internal/pgserver"
	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

// cluster is a primary with one standby, whose name is second. The application and the relay know one address each, which
// leads to the primary until failOver.
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
		states := pgtest.Values[string](t, c.own, "select sync_state from pg_stat_replication where application_name = 'second'")
		return slices.Equal(states, []string{"sync"}), fmt.Sprint(states)
	})
}

// run starts a relay.
func (c *cluster) run(t *testing.T, settings ...string) *relaytest.Relay {
	t.Helper()
	relay := relaytest.Run(t, c.own, append(settings, relaytest.Through(t, c.own, c.network), "REPLICATION_TAKEOVER=2s")...)
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
	pool := db.Pool(t, func(c *pgxpool.Config) {
		c.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return true }
	})
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	for range 3 {
		done.Go(func() {
			for ctx.Err() == nil {
				// It is not interrupted: giving up the wait for a standby would commit.
				step, end := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
				_, _ = pool.Exec(step, "insert into attendees (event_id, name, surname, status) values ($1, 'Ada', 'Lovelace', 'Accepted')", event)
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

// checkAnnouncedOnce waits until everybody who is accepted is delivered, once, and compares with what was received.
func checkAnnouncedOnce(t *testing.T, db *pgtest.DB, receiver *relaytest.Receiver) (accepted, repeated int) {
	t.Helper()
	pgtest.WaitUntil(t, time.Minute, "everybody is delivered once", func() (bool, string) {
		state := pgtest.Value[[]int64](t, db, `select array[(select count(*) from attendees where status = 'Accepted'),
			count(*), count(distinct source_key), count(*) filter (where state = 'delivered'),
			count(*) filter (where source_key in (select id::text from attendees where status = 'Accepted'))] from attendee_relay.outbox`)
		accepted = int(state[0])
		return len(slices.Compact(slices.Clone(state))) == 1, fmt.Sprint("accepted, messages, keys, delivered, known: ", state)
	})
	stored := map[string]bool{}
	for _, id := range pgtest.Values[string](t, db, "select message_id from attendee_relay.outbox") {
		stored[id] = true
	}
	received := map[string]bool{}
	for _, w := range receiver.Webhooks() {
		received[w.ID] = true
	}
	if !maps.Equal(stored, received) {
		t.Errorf("%d messages are in the outbox, %d others or fewer were received", len(stored), len(received))
	}
	return accepted, len(receiver.Webhooks()) - len(received)
}

// The slot is not on the standby (before PostgreSQL 17, or where it is not copied): what the old one had not given out is
// found by comparing ledger and table.
func TestPromotionWithoutTheSlot(t *testing.T) {
	t.Parallel()
	c := startCluster(t, pgserver.StandbyOptions{})
	receiver := relaytest.NewReceiver(t, nil)
	event := relaytest.AddEvent(t, c.db, receiver.URL)
	relay := c.run(t)
	other := relaytest.Run(t, c.own, relaytest.Through(t, c.own, c.network), "REPLICATION_TAKEOVER=2s")
	other.AwaitRole(t, ready, "standby")
	c.synchronous(t)
	stop := arrivals(t, c.db, event)
	receiver.Await(t, 100, ready)

	// The relay misses some, and the stream that had them goes with the primary.
	c.network.Stall(true, true)
	pgtest.WaitUntil(t, ready, "the relay misses some", func() (bool, string) {
		missed := pgtest.Value[int64](t, c.own, "select (select count(*) from attendees) - (select count(*) from attendee_relay.outbox)")
		return missed >= 20, fmt.Sprint(missed)
	})
	began := time.Now()
	c.failOver(t)
	switched := time.Now()
	pgtest.WaitUntil(t, ready, "those are found by comparing", func() (bool, string) {
		found := pgtest.Value[int64](t, c.db, "select count(*) from attendee_relay.outbox where committed_at is null")
		return found >= 20, fmt.Sprint(found)
	})
	leader, standby := awaitOneLeader(t, relay, other)
	t.Logf("promoted in %v, capturing and resynced %v later", switched.Sub(began).Round(10*time.Millisecond), time.Since(switched).Round(10*time.Millisecond))
	receiver.Await(t, len(receiver.Webhooks())+100, ready)
	stop()
	accepted, repeated := checkAnnouncedOnce(t, c.db, receiver)
	t.Logf("%d acceptances, %d requests repeated", accepted, repeated)
	checkMetric(t, leader, "attendee_relay_resyncs_total 1")
	checkMetric(t, leader, "attendee_relay_leader 1")
	checkMetric(t, standby, "attendee_relay_resyncs_total 0")
	checkMetric(t, standby, "attendee_relay_leader 0")
}

// awaitOneLeader waits until of two relays one leads and the other stands by.
func awaitOneLeader(t *testing.T, one, two *relaytest.Relay) (leader, standby *relaytest.Relay) {
	t.Helper()
	pgtest.WaitUntil(t, ready, "one leads and the other stands by", func() (bool, string) {
		first, second := one.State(t), two.State(t)
		leader, standby = one, two
		if second.Role == "leader" {
			leader, standby = two, one
		}
		return first.Ready && second.Ready && first.Role != second.Role, fmt.Sprintf("%+v, %+v", first, second)
	})
	return leader, standby
}

// With a failover slot the stream goes on where it was: also rows that were accepted and cancelled again are announced.
func TestPromotionWithAFailoverSlot(t *testing.T) {
	t.Parallel()
	if version := pgtest.Value[int](t, pgtest.New(t), "select current_setting('server_version_num')::int"); version < 170000 {
		t.Skipf("failover slots came with PostgreSQL 17; the one on PATH has version number %d", version)
	}
	c := startCluster(t, pgserver.StandbyOptions{SyncSlots: true})
	receiver := relaytest.NewReceiver(t, nil)
	event := relaytest.AddEvent(t, c.db, receiver.URL)
	c.own.Exec(t, "alter system set synchronized_standby_slots = 'second'")
	c.synchronous(t)
	relay := c.run(t)
	load := relaytest.StartLoad(t, c.db, relaytest.Seed(t), true, event)
	receiver.Await(t, 100, ready)
	standby := c.own.By(t, net.JoinHostPort("127.0.0.1", strconv.Itoa(c.standby.Port())))
	pgtest.WaitUntil(t, time.Minute, "the standby has the slot", func() (bool, string) {
		slots := pgtest.Values[string](t, standby, "select slot_name || ' synced ' || synced || ' temporary ' || temporary from pg_replication_slots")
		return slices.Contains(slots, c.own.Name()+" synced true temporary false"), fmt.Sprint(slots)
	})

	began := time.Now()
	c.failOver(t)
	switched := time.Now()
	relay.AwaitRole(t, ready, "leader")
	t.Logf("promoted in %v, capturing %v later", switched.Sub(began).Round(10*time.Millisecond), time.Since(switched).Round(10*time.Millisecond))
	receiver.Await(t, len(receiver.Webhooks())+100, ready)
	accepted := load.Stop(t)
	t.Logf("%d acceptances, %d requests repeated", accepted, load.Verify(t, receiver, time.Minute))
	checkMetric(t, relay, "attendee_relay_resyncs_total 0")
}

// A commit that waits for its standby is in the stream already. When the standby is promoted without it, it never was.
func TestCommitLostByAPromotionIsNeverAnnounced(t *testing.T) {
	t.Parallel()
	for name, commit := range map[string]string{
		"while the relay's own commits wait, too": "on",
		"while the relay's own commits are local": "local",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startCluster(t, pgserver.StandbyOptions{})
			c.own.Exec(t, "alter database "+c.own.Name()+" set synchronous_commit = "+commit)
			var works atomic.Bool
			receiver := relaytest.NewReceiver(t, func(relaytest.Webhook) int {
				if works.Load() {
					return http.StatusNoContent
				}
				return http.StatusInternalServerError
			})
			event := relaytest.AddEvent(t, c.db, receiver.URL)
			relay := c.run(t, "DELIVERY_RETRY_SCHEDULE="+strings.TrimSuffix(strings.Repeat("300ms,", 100), ","))
			c.synchronous(t)
			relaytest.Accept(t, c.db, event, 1)
			receiver.Await(t, 1, ready)
			c.awaitStandby(t)

			c.wal.Stall(true, true)
			phantom := c.acceptPhantom(t, event)
			defer phantom.Wait() // the crash ends it
			const held = "select (select count(*) from attendee_relay.ledger) + (select count(*) from attendee_relay.acceptance)"
			works.Store(true)
			awaitState(t, c.own, "delivered", 1) // deliveries do not wait for the standby
			if n := pgtest.Value[int64](t, c.own, held); n != 1 {
				t.Errorf("%d acceptances are recorded while the second commit waits", n)
			}

			c.failOver(t)
			relaytest.Accept(t, c.db, event, 1)
			awaitState(t, c.db, "delivered", 2)
			relay.AwaitRole(t, ready, "leader")
			accepted, _ := checkAnnouncedOnce(t, c.db, receiver)
			if n := pgtest.Value[int64](t, c.db, held); n != 2 || accepted != 2 {
				t.Errorf("%d are accepted, %d recorded", accepted, n)
			}
		})
	}
}

// acceptPhantom accepts somebody in a commit that waits for the standby, and returns when the relay was sent it and has said
// that it got it.
func (c *cluster) acceptPhantom(t *testing.T, event int64) *sync.WaitGroup {
	t.Helper()
	pool := c.own.Pool(t)
	waiting := new(sync.WaitGroup)
	waiting.Go(func() {
		_, _ = pool.Exec(context.Background(), fmt.Sprintf(`begin; set local synchronous_commit = on;
			insert into attendees (event_id, name, surname, status) values (%d, 'Phantom', 'Lovelace', 'Accepted'); commit`, event),
			pgx.QueryExecModeSimpleProtocol)
	})
	pgtest.WaitUntil(t, ready, "the commit waits for the standby", func() (bool, string) {
		waits := pgtest.Values[string](t, c.own, "select coalesce(wait_event, '') from pg_stat_activity where query like '%Phantom%' and pid <> pg_backend_pid()")
		return slices.Equal(waits, []string{"SyncRep"}), fmt.Sprint(waits)
	})
	at := pgtest.Value[string](t, c.own, "select pg_current_wal_insert_lsn()::text")
	pgtest.WaitUntil(t, ready, "the relay has got it", func() (bool, string) {
		got := pgtest.Values[string](t, c.own, "select write_lsn::text from pg_stat_replication where write_lsn >= $1::text::pg_lsn and application_name like '%walsender'", at)
		return len(got) == 1, at
	})
	return waiting
}

// awaitStandby waits until the standby has everything.
func (c *cluster) awaitStandby(t *testing.T) {
	t.Helper()
	pgtest.WaitUntil(t, ready, "the standby has everything", func() (bool, string) {
		behind := pgtest.Value[int64](t, c.own, `select (pg_current_wal_insert_lsn() - flush_lsn)::bigint from pg_stat_replication
			where application_name = 'second'`)
		return behind <= 0, fmt.Sprint(behind, " bytes behind")
	})
}
