package outbox_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"attendee-relay/internal/pgtest"
	"attendee-relay/outbox"
)

// A restored backup or a staging clone has the pending messages as well, and must not send them.
func TestCopySendsNothing(t *testing.T) {
	t.Parallel()
	for name, copied := range map[string]string{
		"of another cluster":     "system_id = system_id || '0'",
		"under another name":     "database = 'elsewhere'",
		"for another deployment": "deployment = 'production'",
		"older than its books":   "lsn = pg_current_wal_insert_lsn() + 100000000",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig, q := newQueue(t, 1, 1)
			rig.DB.Exec(t, "create table original as table attendee_relay.checkpoint; "+
				"update attendee_relay.checkpoint set "+copied)
			if got := claim(t, q, 10, 8, time.Minute, nil); len(got) != 0 {
				t.Fatalf("%d messages are claimed", len(got))
			}
			rig.DB.Exec(t, "delete from attendee_relay.checkpoint; insert into attendee_relay.checkpoint table original")
			if got := claim(t, q, 10, 8, time.Minute, nil); len(got) != 1 {
				t.Errorf("the original claims %d messages, want 1", len(got))
			}
		})
	}
}

func TestBacklogOfOneEndpointHidesNoOther(t *testing.T) {
	t.Parallel()
	rig, q := newQueue(t, 2, 1)
	slow := claim(t, q, 1, 1, time.Hour, nil)[0]
	rig.DB.Exec(t, `insert into attendee_relay.message (message_id, identity, delivery_key, commit_lsn, attendee_id,
		event_id, endpoint, webhook_url)
		select 'm' || i, i, i, '0/1', i, '1', $1, 'x' from generate_series(1, 5000) as i`, slow.Endpoint)
	rig.DB.Exec(t, `insert into attendee_relay.pending (id, endpoint, lane, due_at)
		select id, endpoint, id, now() - interval '1 h' from attendee_relay.message where message_id like 'm%'
			and length(message_id) < 6`)
	got := claim(t, q, 200, 8, time.Minute, map[uuid.UUID]int{slow.Endpoint: 7})
	others := 0
	for _, m := range got {
		if m.Endpoint != slow.Endpoint {
			others++
		}
	}
	if others != 1 || len(got) != 2 {
		t.Errorf("%d messages are claimed, %d of the other endpoint; want one of each", len(got), others)
	}
}

// A large transaction may move a registration that still waits for its payload.
func TestWaitingAcceptanceFollowsItsKeyThroughALargeTransaction(t *testing.T) {
	t.Parallel()
	rig := peopleRig(t, "create table people (id int primary key, status text, code text, ready bool default false)")
	rig.Source.Key = "code"
	rig.Marker = "insert into people values (1000000000, 'marker', 'marker') on conflict (id) do update set status = " +
		"'marker'"
	rig.Outbox.Query = `select code as key, id as attendee_id, 'n' as name, 's' as surname, 'e' as email, 1 as price,
		'EUR' as currency,
		1 as event_id, 'e' as event_name, 'https://example.org/' as webhook_url from people where ready
			and code = any ($1::text[])`
	rig.Start(t)
	rig.AwaitLeading(t)
	rig.DB.Exec(t, "insert into people values (1, 'Accepted', 'k1')")
	rig.CaughtUp(t)
	rig.DB.Exec(t, `begin; insert into people select i, 'Pending', i from generate_series(100, 12000) as i;
		delete from people where id = 1; insert into people values (2, 'Accepted', 'k1'); commit`)
	rig.CaughtUp(t)
	rig.DB.Exec(t, "update people set ready = true where id = 2")
	awaitCount(t, rig, 1)
	if state := pgtest.Value[int](t, rig.DB, "select count(*)::int from attendee_relay.acceptance"); state != 0 {
		t.Errorf("%d acceptances are left without a message", state)
	}
}

// pg_dump holds every table of the database until it ends.
func TestReaderOfTheSpoolDoesNotStopCapture(t *testing.T) {
	t.Parallel()
	rig := peopleRig(t, peopleTable)
	rig.Start(t)
	rig.AwaitLeading(t)
	dump, err := rig.DB.OwnerPool(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dump.Rollback(t.Context()) }()
	_, err = dump.Exec(t.Context(), "lock table attendee_relay.spool, attendee_relay.ledger in access share mode")
	if err != nil {
		t.Fatal(err)
	}
	rig.DB.Exec(t, "truncate people; insert into people values (1, 'Accepted')")
	awaitCount(t, rig, 1)
	rig.CaughtUp(t)
}

// Processes that claim at the same moment get different messages, each as many as it asked for.
func TestClaimsTakeTurns(t *testing.T) {
	t.Parallel()
	const processes, limit = 4, 20
	attendees := make([]int, processes*limit)
	for i := range attendees {
		attendees[i] = i + 1
	}
	_, q := newQueue(t, 1, attendees...)
	q.SetTurnPatience(5 * time.Second)
	claimed := make(chan []outbox.Message, processes)
	for range 10 {
		for range processes {
			go func() {
				got, err := q.Claim(t.Context(), outbox.ClaimRequest{Limit: limit, Lease: time.Hour, PerEndpoint: 1000,
					Trial: limit, TrialMore: limit, InTurn: true})
				if err != nil {
					t.Error(err)
				}
				claimed <- got
			}()
		}
		for range processes {
			got := <-claimed
			if _, err := q.Release(t.Context(), got); err != nil || len(got) != limit {
				t.Errorf("one got %d of %d messages, %v", len(got), limit, err)
			}
		}
	}
}

// Whoever is stuck in its turn keeps the others for a moment only.
func TestATurnThatDoesNotEndIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	rig, q := newQueue(t, 1, 1)
	stuck, err := rig.DB.Pool(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stuck.Rollback(t.Context()) }()
	if _, err := stuck.Exec(t.Context(), "select pg_advisory_xact_lock($1)", outbox.ClaimLock); err != nil {
		t.Fatal(err)
	}
	got, err := q.Claim(t.Context(), outbox.ClaimRequest{Limit: 1, Lease: time.Hour, PerEndpoint: 1, Trial: 1,
		TrialMore: 1, InTurn: true})
	if err != nil || len(got) != 1 {
		t.Errorf("claimed %d messages, %v", len(got), err)
	}
}
