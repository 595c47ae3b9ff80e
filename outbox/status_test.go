package outbox

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/postgres"
	"attendee-relay/internal/secret"
)

func directConn(t *testing.T, db *pgtest.DB) *pgx.Conn {
	t.Helper()
	conn, err := postgres.Direct(t.Context(), secret.New(db.URL()), "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) }) // the test's context has ended by then
	return conn
}

func TestStatusCounts(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	conn := directConn(t, db)
	s, err := ReadStatus(t.Context(), conn)
	if err != nil || s.Checkpoint != nil || s.Endpoints == nil || *s.Outbox.Pending != 0 {
		t.Fatalf("there is no outbox: %+v, %v", s, err)
	}
	if err := Migrate(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	if s, err = ReadStatus(t.Context(), conn); err != nil || s.Checkpoint != nil {
		t.Fatalf("it is empty: %+v, %v", s, err)
	}
	// 120 endpoints; the one with a password has the most.
	db.Exec(t, `insert into attendee_relay.checkpoint (system_id, database, deployment, source, phase, lsn)
		values ('1', 'x', 'test', '{}', 'streaming', '0/ABC');
		insert into attendee_relay.acceptance (identity, row_identity, commit_lsn, state, next_evaluation_at, last_error,
			created_at)
			select i, i, '0/1', case when i <= 3 then 'waiting' else 'empty' end, now(), case when i % 2 = 0 then 'an error' end,
				now() - interval '2 minutes' from generate_series(1, 8) i;
		insert into attendee_relay.message (message_id, identity, delivery_key, commit_lsn, attendee_id, event_id,
			webhook_url, created_at)
			select 'msg_' || i, i, i, '0/1', i, 1, case when i <= 120 then 'https://example.org/' || i || '?token=hidden' else
				'https://user:hidden@example.com/hook?token=hidden#hidden' end, now() - interval '1 minute'
			from generate_series(1, 125) i;
		insert into attendee_relay.pending (id, endpoint, lane, due_at, attempts)
			select id, md5(least(id, 121)::text)::uuid, id, now(), case when id in (122, 123) then 1 else 0 end
				from attendee_relay.message;
		insert into attendee_relay.endpoint (id, webhook_url, state, failures)
			select md5('121')::uuid, 'https://user:hidden@example.com/hook?token=hidden#hidden', 'paused', 12;
		insert into attendee_relay.settled (id, state, settled_at, attempts) select 1000 + i, (array['delivered', 'dead',
			'delivered', 'skipped', 'delivered'])[1 + i % 5], now(), 1 from generate_series(1, 50) i`)
	s, err = ReadStatus(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	if *s.Checkpoint != "0/ABC" || *s.Acceptances.Waiting != 3 || *s.Acceptances.Failing != 1 ||
		*s.Acceptances.Empty != 5 ||
		s.Estimated || *s.OldestWaiting < 120 || *s.OldestWaiting > 600 ||
		*s.Outbox.Pending != 125 || *s.Outbox.Delivered != 30 || *s.Outbox.Dead != 10 || *s.Outbox.Skipped != 10 ||
		*s.OldestPending < 60 || *s.OldestPending > 600 {
		t.Errorf("%+v", s)
	}
	if len(s.Endpoints) != 100 || s.Endpoints[0].URL != "https://example.com/hook" || s.Endpoints[0].State != "paused" ||
		*s.Endpoints[0].By != "breaker" ||
		s.Endpoints[0].Failures != 12 || s.Endpoints[0].Pending != 5 ||
		s.Endpoints[1].URL != "https://example.org/1" {
		t.Errorf("%d endpoints, the first %+v", len(s.Endpoints), s.Endpoints[:2])
	}
}

// Where counting takes too long, the planner's figures have to do.
func TestStatusEstimates(t *testing.T) {
	t.Parallel()
	db, conn := migrated(t)
	db.Exec(t, `insert into attendee_relay.settled (id, state, settled_at, attempts)
			select i, case when i % 10 = 0 then 'dead' else 'delivered' end, now(), 1 from generate_series(1, 200000) i;
		insert into attendee_relay.message (message_id, identity, delivery_key, commit_lsn, attendee_id, event_id)
			values ('msg_1', '1', '1', '0/1', '1', '1');
		insert into attendee_relay.pending (id, endpoint, lane, due_at) select id, gen_random_uuid(), 1, now()
			from attendee_relay.message;
		analyze attendee_relay.settled; analyze attendee_relay.pending`)
	s, err := readStatus(t.Context(), conn, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	near := func(got, want int64) bool { return math.Abs(float64(got-want)) < 0.1*float64(want) }
	if !s.Estimated || !near(*s.Outbox.Delivered, 180_000) || !near(*s.Outbox.Dead, 20_000) || *s.Outbox.Pending != 1 {
		t.Errorf("%+v", s)
	}
}

// Figures that can neither be counted in time nor estimated are not known.
func TestStatusThatIsNotKnown(t *testing.T) {
	t.Parallel()
	db, conn := migrated(t)
	db.Exec(t, `insert into attendee_relay.settled (id, state, settled_at, attempts)
		select i, 'delivered', now(), 1 from generate_series(1, 300000) i`)
	s, err := readStatus(t.Context(), conn, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if !s.Estimated || s.Outbox.Delivered != nil || s.Outbox.Dead != nil || s.Outbox.Pending != nil ||
		s.Acceptances.Waiting != nil || s.OldestPending == nil {
		t.Errorf("%+v", s)
	}
}

func TestPublicURL(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"https://user:hidden@example.org:8443/hooks/a%2Fb?token=hidden#hidden": "https://example.org:8443/hooks/a%2Fb",
		"https://example.org?token=hidden":                                     "https://example.org",
		"https://[fe80::1%25hidden]:x/":                                        "(not a URL)",
		"\ufeffhttps://example.org/hook?token=hidden \n":                       "https://example.org/hook",
		`https://user:hidden@example.org\hook%zz|{?token=hidden`:               "https://example.org/hook%25zz%7C%7B",
		"hidden":                    "(not a URL)",
		"mailto:hidden@example.org": "(not a URL)",
		"https://example.org/" + strings.Repeat("a", 300): "https://example.org/" + strings.Repeat("a", 180) + "...",
	} {
		if got := publicURL(url); got != want {
			t.Errorf("%s is shown as %s", url, got)
		}
	}
}
