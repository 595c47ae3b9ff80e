package main

import (
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

func TestCaptureOnlySendsNothing(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	receiver := relaytest.NewReceiver(t, nil)
	event := relaytest.AddEvent(t, db, receiver.URL)
	capturing := relaytest.Run(t, db, "DELIVERY_ENABLED=false")
	capturing.AwaitRole(t, ready, "leader")
	relaytest.Accept(t, db, event, 3)
	awaitState(t, db, "pending", 3)
	time.Sleep(1500 * time.Millisecond) // longer than a sender looks away; nothing signals what does not happen
	if n := len(receiver.Webhooks()); n != 0 {
		t.Errorf("%d requests", n)
	}
	attempts := pgtest.Value[int64](t, db, "select sum(attempts) from attendee_relay.outbox")
	if attempts != 0 {
		t.Errorf("%d attempts", attempts)
	}
	// Another process, which stands by, is enough to send them.
	relaytest.Run(t, db)
	awaitState(t, db, "delivered", 3)
}

func TestRetriesUntilTheReceiverAnswers(t *testing.T) {
	t.Parallel()
	var requests atomic.Int64
	receiver := relaytest.NewReceiver(t, func(relaytest.Webhook) int {
		if requests.Add(1) <= 2 {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	})
	db := pgtest.New(t)
	event := relaytest.AddEvent(t, db, receiver.URL)
	relaytest.Run(t, db, "DELIVERY_RETRY_SCHEDULE=100ms,200ms,300ms").AwaitRole(t, ready, "leader")
	relaytest.Accept(t, db, event, 1)
	awaitState(t, db, "delivered", 1)

	const attempts = "select format('%s %s %s', number, status, error is null) from attendee_relay.attempt order by number"
	if got := pgtest.Values[string](t, db, attempts); !slices.Equal(got, []string{"1 500 f", "2 500 f", "3 200 t"}) {
		t.Errorf("attempts: %q", got)
	}
	const message = "select format('%s %s %s', attempts, last_status, delivered_at is not null) from attendee_relay.outbox"
	if got := pgtest.Value[string](t, db, message); got != "3 200 t" {
		t.Errorf("the message: %s", got)
	}
	received := receiver.Webhooks()
	for _, w := range received {
		if w.ID != received[0].ID || w.Body != received[0].Body || w.Verified != nil {
			t.Errorf("another attempt: %+v", w)
		}
	}
}

func TestDeadAtTheEndOfTheSchedule(t *testing.T) {
	t.Parallel()
	receiver := relaytest.NewReceiver(t, func(relaytest.Webhook) int { return http.StatusServiceUnavailable })
	db := pgtest.New(t)
	event := relaytest.AddEvent(t, db, receiver.URL)
	relay := relaytest.Run(t, db, "DELIVERY_RETRY_SCHEDULE=50ms,50ms")
	relay.AwaitRole(t, ready, "leader")
	relaytest.Accept(t, db, event, 1)
	awaitState(t, db, "dead", 1)
	const message = "select format('%s %s %s %s', attempts, last_status, delivered_at is null, last_error is not null) " +
		"from attendee_relay.outbox"
	if got := pgtest.Value[string](t, db, message); got != "3 503 t t" || len(receiver.Webhooks()) != 3 {
		t.Errorf("the message: %s, after %d requests", got, len(receiver.Webhooks()))
	}
	if state := relay.State(t); !state.Ready {
		t.Errorf("a dead message made the relay unready: %+v", state)
	}
}

// Nothing connects to an address that is not public unless it is allowed, however it is written.
func TestPrivateAddressesAreRefused(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var connections atomic.Int64
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = listener.Close(); <-closed })

	_, port, _ := net.SplitHostPort(listener.Addr().String())
	// One text for all of them, and for a name that does not exist.
	const refusal = " refused: no such host, or its address is not public and not in DELIVERY_ALLOW_NETWORKS, or it is " +
		"in DELIVERY_DENY_NETWORKS"
	hosts := []string{"127.0.0.1", "localhost", "2130706433", "0x7f000001", "[::ffff:127.0.0.1]", "0.0.0.0", "127.1",
		"nowhere.invalid"}
	db := pgtest.New(t)
	relay := relaytest.Run(t, db, "DELIVERY_ALLOW_NETWORKS=", "DELIVERY_RETRY_SCHEDULE=50ms")
	relay.AwaitRole(t, ready, "leader")
	for _, host := range hosts {
		relaytest.Accept(t, db, relaytest.AddEvent(t, db, "http://"+host+":"+port+"/"), 1)
	}
	awaitState(t, db, "dead", int64(len(hosts)))
	for _, message := range pgtest.Values[string](t, db,
		"select webhook_url || ' ' || last_error from attendee_relay.outbox") {
		if !strings.HasSuffix(message, refusal) {
			t.Errorf("it does not say why: %s", message)
		}
	}
	if n := connections.Load(); n != 0 {
		t.Errorf("%d connections to a private address", n)
	}
}

// What a killed relay had leased is sent again when the lease is over, and not before.
func TestLeasedMessagesOfAKilledRelayAreSentAgain(t *testing.T) {
	t.Parallel()
	const n, timeout, lease = 3, 2 * time.Second, 15*time.Second + 2*2*time.Second
	var hang atomic.Bool
	hang.Store(true)
	release := make(chan struct{})
	receiver := relaytest.NewReceiver(t, func(relaytest.Webhook) int {
		if hang.Load() {
			<-release
		}
		return http.StatusOK
	})
	db := pgtest.New(t)
	event := relaytest.AddEvent(t, db, receiver.URL)
	relay := relaytest.Run(t, db, "DELIVERY_TIMEOUT="+timeout.String())
	relay.AwaitRole(t, ready, "leader")
	relaytest.Accept(t, db, event, n)
	sent := receiver.Await(t, n, ready)
	relay.Kill()
	hang.Store(false)
	close(release)

	relaytest.Run(t, db, "DELIVERY_TIMEOUT="+timeout.String())
	awaitState(t, db, "delivered", n)
	all := receiver.Webhooks()
	if len(all) != 2*n {
		t.Fatalf("%d requests for %d messages", len(all), n)
	}
	for _, again := range all[n:] {
		first := slices.IndexFunc(sent, func(w relaytest.Webhook) bool { return w.ID == again.ID })
		if first < 0 || sent[first].Body != again.Body || again.Verified != nil {
			t.Errorf("it was not sent before: %+v", again)
		} else if after := again.At.Sub(sent[first].At); after < lease-time.Second || after > lease+10*time.Second {
			t.Errorf("sent again after %v, the lease is %v", after, lease)
		}
	}
}

// Acceptances must survive a promotion and wait for the standby; leases and outcomes need not, and do not.
func TestDeliveriesGoOnWhileCommitsWaitForAStandby(t *testing.T) {
	t.Parallel()
	const n = 5
	var works atomic.Bool
	receiver := relaytest.NewReceiver(t, func(relaytest.Webhook) int {
		if works.Load() {
			return http.StatusOK
		}
		return http.StatusBadGateway
	})
	db := pgtest.On(t, pgtest.Start(t, nil))
	event := relaytest.AddEvent(t, db, receiver.URL)
	relaytest.Run(t, db, "DELIVERY_BREAKER_FAILURES=10000", "DELIVERY_RETRY_SCHEDULE="+strings.Repeat("200ms,",
		100)+"200ms").AwaitRole(t, ready, "leader")
	relaytest.Accept(t, db, event, n)
	receiver.Await(t, n, ready)

	db.Exec(t, "alter system set synchronous_standby_names = 'missing'")
	db.Exec(t, "select pg_reload_conf()")
	t.Cleanup(func() {
		db.Exec(t, "alter system reset synchronous_standby_names")
		db.Exec(t, "select pg_reload_conf()")
	})
	awaitWaiters(t, db, "SyncRep", func() {
		db.Exec(t, `begin; set local synchronous_commit = local;
			insert into attendees (event_id, name, surname, status) values (1, 'Ada', 'Lovelace', 'Accepted'); commit`)
	})
	// Some of these may have been recorded before the setting took effect; from here on none is.
	recorded := pgtest.Value[int64](t, db, "select count(*) from attendee_relay.outbox")
	works.Store(true)
	awaitState(t, db, "delivered", recorded)
}
