package outbox_test

import (
	"crypto/md5"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"attendee-relay/internal/relaytest"
	"attendee-relay/outbox"
)

// Claims beside dead endpoints, half of them paused and half hanging with all the places that they may have, with a
// backlog of 20,000 messages or OUTBOX_ROWS of them. The statistics are as old as they are when a backlog has just
// arisen. The time is printed; the test fails if a claim reads more rows the more messages wait: such a claim reads the
// backlog.
func TestClaimsBesideDeadEndpoints(t *testing.T) {
	t.Parallel()
	if testing.Short() || relaytest.Racing() {
		t.Skip("it measures")
	}
	backlog := relaytest.Sized(t, "OUTBOX_ROWS", 20_000)
	const healthy, dead = 50, 50
	rig, _ := newQueue(t, healthy, 1)
	rig.DB.Exec(t, "alter table attendee_relay.pending set (autovacuum_enabled = off)")
	rig.DB.Exec(t, "update attendee_relay.pending set lane = id")
	// measure returns how many rows one claim and the release of its messages read. A second claim would also read the
	// dead versions that this one leaves: a long transaction in any database keeps them.
	measure := func(limit int, busy map[uuid.UUID]int) (found int64, all string) {
		var took time.Duration
		found = looked(t, rig, rows, []string{"pending", "message", "endpoint"}, func(pool *pgxpool.Pool) {
			q := outbox.NewQueue(pool, "test", outbox.Breaker{Failures: 10, Probe: time.Minute}, nil)
			began := time.Now()
			got, err := q.Claim(t.Context(), outbox.ClaimRequest{Limit: limit, Lease: time.Minute, PerEndpoint: 8, Busy: busy,
				Trial: 128, TrialMore: 0})
			took = time.Since(began)
			if err != nil || len(got) != min(limit, healthy) {
				t.Fatalf("%d messages are claimed, %v", len(got), err)
			}
			if missed, err := q.Release(t.Context(), got); err != nil || len(missed) > 0 {
				t.Fatalf("%d messages are not given back, %v", len(missed), err)
			}
		})
		return found, fmt.Sprintf("%d rows, %v", found, took)
	}
	const few = 20 // fewer than the endpoints have places: a claim then counts those that have something due
	_, all := measure(200, nil)
	t.Logf("claims of %d messages, one of each healthy endpoint, alone: %s", healthy, all)
	_, all = measure(few, nil)
	t.Logf("claims of %d messages, alone: %s", few, all)
	grow := func(from, to int) {
		rig.DB.Exec(t, `with recorded as (
				insert into attendee_relay.message (message_id, identity, delivery_key, commit_lsn, attendee_id, event_id, endpoint,
					webhook_url, payload)
				select 'm' || i, i, i, '0/1', i, '2', md5('dead' || i % $3)::uuid, 'https://dead.example/' || i % $3, '{}'
					from generate_series($1::int, $2) as i returning id, endpoint, attendee_id)
			insert into attendee_relay.pending (id, endpoint, lane, due_at)
			select id, endpoint, attendee_relay.lane(attendee_id), now() from recorded`, from, to, dead)
	}
	grow(1, backlog/10)
	rig.DB.Exec(t, `insert into attendee_relay.endpoint (id, webhook_url, state, failures, probe_at, probe_wait)
		select md5('dead' || i)::uuid, 'https://dead.example/' || i, 'paused', 10, now() + interval '1 hour',
			interval '1 hour' from generate_series(0, $1) as i`, dead/2-1)
	busy := map[uuid.UUID]int{}
	for i := dead / 2; i < dead; i++ {
		busy[md5.Sum(fmt.Append(nil, "dead", i))] = 8
	}
	atFirst := map[int]int64{}
	for _, limit := range []int{200, few} {
		atFirst[limit], all = measure(limit, busy)
		t.Logf("claims of %d beside %d dead endpoints with %d messages: %s", limit, dead, backlog/10, all)
	}
	grow(backlog/10+1, backlog)
	compare := func(statistics string) {
		for _, limit := range []int{200, few} {
			found, all := measure(limit, busy)
			t.Logf("claims of %d beside %d dead endpoints with %d messages, %s: %s", limit, dead, backlog, statistics, all)
			if found > atFirst[limit]+int64(backlog)/4 {
				t.Errorf("a claim of %d looked at %d rows, %s, and %d beside a tenth of the backlog", limit, found, statistics,
					atFirst[limit])
			}
		}
	}
	compare("old statistics")
	// With statistics that know of the backlog another plan may seem better.
	rig.DB.Exec(t, "analyze attendee_relay.pending, attendee_relay.message, attendee_relay.endpoint")
	compare("new statistics")
}
