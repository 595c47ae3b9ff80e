package main

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"attendee-relay/internal/pgserver"
	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

// checkAnnouncedOnce waits until everybody who is accepted is delivered, once, and compares with what was received.
func checkAnnouncedOnce(t *testing.T, db *pgtest.DB, receiver *relaytest.Receiver) (accepted, repeated int) {
	t.Helper()
	pgtest.WaitUntil(t, time.Minute, "everybody is delivered once", func() (bool, string) {
		state := pgtest.Value[[]int64](t, db, `select array[(select count(*) from attendees where status = 'Accepted'),
			count(*), count(distinct source_key), count(*) filter (where state = 'delivered'),
			count(*) filter (where source_key in (select id::text from attendees where status = 'Accepted'))]
				from attendee_relay.outbox`)
		accepted = int(state[0])
		return len(slices.Compact(slices.Clone(state))) == 1, fmt.Sprint("accepted, messages, keys, delivered, known: ",
			state)
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

// The slot is not on the standby (before PostgreSQL 17, or where it is not copied): what the old primary had not
// streamed is found by comparing ledger and table.
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
		missed := pgtest.Value[int64](t, c.own,
			"select (select count(*) from attendees) - (select count(*) from attendee_relay.outbox)")
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
	t.Logf("promoted in %v, capturing and resynced %v later", switched.Sub(began).Round(10*time.Millisecond),
		time.Since(switched).Round(10*time.Millisecond))
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
	version := pgtest.Value[int](t, pgtest.New(t), "select current_setting('server_version_num')::int")
	if version < 170000 {
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
	// The server naps for up to 30 s between looks, and keeps the slot for good only once the primary has passed its own
	// (PostgreSQL 17, slotsync.c).
	pgtest.WaitUntil(t, 3*time.Minute, "the standby has the slot", func() (bool, string) {
		slots := pgtest.Values[string](t, standby,
			"select slot_name || ' synced ' || synced || ' temporary ' || temporary from pg_replication_slots")
		return slices.Contains(slots, c.own.Name()+" synced true temporary false"), fmt.Sprint(slots)
	})

	began := time.Now()
	c.failOver(t)
	switched := time.Now()
	relay.AwaitRole(t, ready, "leader")
	t.Logf("promoted in %v, capturing %v later", switched.Sub(began).Round(10*time.Millisecond),
		time.Since(switched).Round(10*time.Millisecond))
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
