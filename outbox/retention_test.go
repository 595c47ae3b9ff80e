package outbox_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"attendee-relay/internal/capturetest"
	"attendee-relay/internal/pgtest"
	"attendee-relay/outbox"
)

// clean runs Retention, with bodies kept for an hour, until the database says that it is done.
func clean(t *testing.T, rig *capturetest.Rig, rows time.Duration, done string) {
	t.Helper()
	c := outbox.Config{PayloadRetention: time.Hour, Retention: rows}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = outbox.NewRetention(rig.DB.Pool(t), c, func() bool { return true }, rig.Board, zaptest.NewLogger(t)).Run(ctx)
	}()
	pgtest.WaitUntil(t, capturetest.Patience, "everything old is gone", func() (bool, string) {
		return pgtest.Value[bool](t, rig.DB, done), ""
	})
	stop()
	<-ended
}

// grow makes the messages of these attendees older.
func grow(t *testing.T, rig *capturetest.Rig, age string, attendees ...string) {
	t.Helper()
	rig.DB.Exec(t, "update attendee_relay.message set created_at = now() - $1::text::interval where attendee_id = any "+
		"($2)", age, attendees)
}

func TestBodiesSecretsAndAnswersAreErased(t *testing.T) {
	t.Parallel()
	rig, q := newQueue(t, 1, 1, 2, 3, 4)
	rig.DB.Exec(t, "update attendee_relay.message set secret = 'secret', headers = '{}'")
	four := claim(t, q, 10, 8, time.Hour, nil)
	settle(t, q, outbox.Settled{Applied: 3},
		outbox.Settlement{Message: four[0], Outcome: outbox.Delivered(attempt)},
		outbox.Settlement{Message: four[1], Outcome: outbox.RetryIn(time.Hour, attempt)},
		outbox.Settlement{Message: four[3], Outcome: outbox.Delivered(attempt)})
	grow(t, rig, "2 hours", "1", "2", "3")
	const shown = `select format('%s %s %s %s %s', o.attendee_id, o.state, o.payload is null,
		m.secret is null and m.headers is null,
		(select bool_or(response is not null) from attendee_relay.exchange e where e.message = m.id))
		from attendee_relay.outbox o join attendee_relay.message m using (message_id) order by 1`
	// The third is in flight: its end is waited for.
	clean(t, rig, 3*time.Hour, "select count(*) = 2 from attendee_relay.message where payload is null")
	got := pgtest.Values[string](t, rig.DB, shown)
	if !slices.Equal(got, []string{"1 delivered t t f", "2 dead t t f", "3 pending f f ", "4 delivered f f t"}) {
		t.Errorf("%q", got)
	}
	why := pgtest.Value[string](t, rig.DB, "select last_error from attendee_relay.outbox where attendee_id = '2'")
	if why != "expired: it was not delivered within OUTBOX_PAYLOAD_RETENTION" {
		t.Errorf("it does not say why: %s", why)
	}
	settle(t, q, outbox.Settled{Applied: 1}, outbox.Settlement{Message: four[2], Outcome: outbox.Delivered(attempt)})
	clean(t, rig, 3*time.Hour, "select count(*) = 3 from attendee_relay.message where payload is null")
	state := pgtest.Value[string](t, rig.DB, "select state from attendee_relay.outbox where attendee_id = '3'")
	if state != "delivered" {
		t.Errorf("what was in flight is %s", state)
	}
}

func TestOldRowsAreDeletedAndTheLedgerStays(t *testing.T) {
	t.Parallel()
	rig, q := newQueue(t, 1, people(10)...)
	rig.DB.Exec(t, `insert into attendee_relay.message (message_id, identity, delivery_key, commit_lsn, attendee_id,
		event_id, endpoint, webhook_url, payload)
		select 'm' || i, i, i, '0/1', i, '1', (select min(endpoint::text)::uuid from attendee_relay.message), 'x', '{}'
			from generate_series(1, 2390) as i`)
	rig.DB.Exec(t, `insert into attendee_relay.pending (id, endpoint, lane, due_at) select id, endpoint, id, now()
		from attendee_relay.message where message_id like 'm%' and length(message_id) < 6`)
	var batch []outbox.Settlement
	for _, m := range claim(t, q, 5, 8, time.Hour, nil) {
		batch = append(batch, outbox.Settlement{Message: m, Outcome: outbox.Delivered(attempt)})
	}
	settle(t, q, outbox.Settled{Applied: 5}, batch...)
	rig.DB.Exec(t, "update attendee_relay.message set created_at = now() - interval '2 hours' where id <= 2300")
	rig.DB.Exec(t, `insert into attendee_relay.acceptance (identity, row_identity, commit_lsn, state, next_evaluation_at,
		created_at)
		select i, i, '0/1', case when i < 3 then 'empty' else 'waiting' end, now(), now() - case i when 1 then interval
			'2 hours' else interval '0' end from generate_series(1, 3) as i`)
	rig.DB.Exec(t, "insert into attendee_relay.endpoint (id, webhook_url, state, since) select gen_random_uuid(), s, s, "+
		"now() - interval '1 day' from unnest(array['active', 'disabled', 'paused']) s")
	clean(t, rig, time.Hour, "select count(*) = 100 from attendee_relay.message")
	clean(t, rig, time.Hour, "select not exists (select from attendee_relay.endpoint where webhook_url = 'active') and "+
		"count(*) = 2 from attendee_relay.acceptance")
	for table, want := range map[string]int{"pending": 100, "settled": 0, "exchange": 0, "ledger": 10, "endpoint": 3} {
		if n := pgtest.Value[int](t, rig.DB, "select count(*)::int from attendee_relay."+table); n != want {
			t.Errorf("%d rows in %s, want %d", n, table, want)
		}
	}
}

// What somebody claims or moves at the same moment is not erased under their hands.
func TestRetentionWaitsForWhoHoldsAMessage(t *testing.T) {
	t.Parallel()
	rig, _ := newQueue(t, 1, 1, 2)
	grow(t, rig, "2 hours", "1", "2")
	holder, err := rig.DB.Pool(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = holder.Rollback(t.Context()) }()
	if _, err := holder.Exec(t.Context(), "select from attendee_relay.pending where id = 2 for update"); err != nil {
		t.Fatal(err)
	}
	clean(t, rig, time.Hour, "select not exists (select from attendee_relay.message where attendee_id = '1')")
	if row := pgtest.Value[string](t, rig.DB,
		"select format('%s %s', state, payload is null) from attendee_relay.outbox where attendee_id = "+
			"'2'"); row != "pending f" {
		t.Errorf("the message that is held: %s", row)
	}
	if err := holder.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	clean(t, rig, time.Hour, "select count(*) = 0 from attendee_relay.message")
}
