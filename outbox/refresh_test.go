package outbox_test

import (
	"context"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/capturetest"
	"attendee-relay/internal/pgtest"
	"attendee-relay/outbox"
)

// hooksTable: what the payload query gives for a key can be changed by hand.
const hooksTable = `create table people (id int primary key, status text);
	create table hooks (person int, delivery_key text, url text, secret text, price text default '1')`

const hooksQuery = `select p.id as key, p.id as attendee_id, 'n' as name, 's' as surname, 'e' as email,
	h.price::numeric as price, 'EUR' as currency,
	1 as event_id, 'e' as event_name, h.url as webhook_url, h.secret, h.delivery_key
	from people p join hooks h on h.person = p.id where p.id = any ($1::int[])`

// hooksRig watches people whose messages the table hooks describes, and leads.
func hooksRig(t *testing.T) *capturetest.Rig {
	t.Helper()
	rig := peopleRig(t, hooksTable)
	rig.Outbox.Query = hooksQuery
	rig.Start(t)
	rig.AwaitLeading(t)
	return rig
}

// failedOnce returns a queue whose messages, those of these hooks, have each been tried in vain and are due again.
func failedOnce(t *testing.T, hooks string) (*capturetest.Rig, *outbox.Queue) {
	t.Helper()
	rig := hooksRig(t)
	rig.DB.Exec(t, "insert into hooks (person, delivery_key, url, secret) values "+hooks)
	rig.DB.Exec(t, "insert into people select distinct person, 'Accepted' from hooks")
	rig.Settled(t)
	q := outbox.NewQueue(rig.DB.Pool(t), "test", outbox.Breaker{Failures: 10, Probe: time.Minute}, rig.Resolver().Lookup)
	for _, m := range claim(t, q, 100, 8, time.Minute, nil) {
		settle(t, q, outbox.Settled{Applied: 1}, outbox.Settlement{Message: m, Outcome: outbox.RetryIn(0, attempt)})
	}
	proven(t, rig)
	return rig, q
}

// refreshed claims all messages and returns those left to be sent, as "url secret", with "had" if a row that had a
// secret has none any more.
func refreshed(t *testing.T, q *outbox.Queue) []string {
	t.Helper()
	left, err := q.Refresh(t.Context(), claim(t, q, 100, 8, time.Minute, nil))
	if err != nil {
		t.Error(err)
	}
	var sent []string
	for _, m := range left {
		had := ""
		if m.HadSecret && m.Secret.IsZero() {
			had = "had"
		}
		sent = append(sent, m.URL+" "+m.Secret.Reveal()+had)
	}
	slices.Sort(sent)
	return sent
}

func TestARetryGoesWhereItsRowSaysNow(t *testing.T) {
	t.Parallel()
	const a, b = "https://example.org/a", "https://example.org/b"
	for name, c := range map[string]struct {
		hooks, change string
		// sent is what goes on at once; then follows what goes elsewhere, and states what became of all.
		sent, then []string
		states     []string
	}{
		"nothing changed": {"(1, 'k', '" + a + "', 'old')", "", []string{a + " old"}, nil, []string{"pending"}},
		"another URL": {"(1, 'k', '" + a + "', 'old')", "update hooks set url = '" + b + "', secret = 'new'", nil,
			[]string{b + " new"}, []string{"pending"}},
		"another secret": {"(1, 'k', '" + a + "', 'old')",
			"update hooks set secret = 'new'", []string{a + " new"}, nil, []string{"pending"}},
		"no secret any more": {"(1, 'k', '" + a + "', 'old')", "update hooks set secret = null", []string{a + " had"}, nil,
			[]string{"pending"}},
		"a URL taken away": {"(1, 'k', '" + a + "', null)", "update hooks set url = ' '", nil, nil,
			[]string{"skipped: no_url: the webhook_url was taken away, and DELIVERY_DEFAULT_URL is not set"}},
		"one of two moved": {"(1, 'k', '" + a + "', null), (1, 'k', '" + b + "', null)",
			"update hooks set url = 'https://example.org/c' where url = '" + a + "'",
			[]string{b + " "}, []string{"https://example.org/c "}, []string{"pending", "pending"}},
		"one added": {"(1, 'k', '" + a + "', null)", "insert into hooks values (1, 'k', '" + b + "')", []string{a + " "}, nil,
			[]string{"pending"}},
		// The other one has a message of its own.
		"one of two removed": {"(1, 'k', '" + a + "', null), (1, 'k', '" + b + "', null)", "delete from hooks where url = '" +
			a + "'",
			[]string{b + " "}, nil, []string{"dead: endpoint_removed: the payload query gives the endpoint no more", "pending"}},
		"its delivery_key removed": {"(1, 'k', '" + a + "', null), (1, 'l', '" + b + "', null)",
			"delete from hooks where delivery_key = 'k'",
			[]string{b + " "}, nil, []string{"dead: endpoint_removed: the payload query gives the endpoint no more", "pending"}},
		"moved within its delivery_key": {"(1, 'k', '" + a + "', null), (1, 'l', '" + b + "', null)",
			"update hooks set url = '" + b + "' where delivery_key = 'k'",
			[]string{b + " "}, nil, []string{"dead: endpoint_removed: the payload query gives the endpoint no more", "pending"}},
		"no row for the key": {"(1, 'k', '" + a + "', 'old')", "delete from hooks", nil, nil,
			[]string{"dead: withdrawn: the payload query gave no row for it until the end of DELIVERY_RETRY_SCHEDULE"}},
		"no longer accepted": {"(1, 'k', '" + a + "', 'old')", "delete from people", nil, nil,
			[]string{"dead: withdrawn: the source row is no longer accepted"}},
		"a key whose query fails": {"(1, 'k', '" + a + "', 'old'), (2, 'k', '" + a + "', 'old')",
			"update hooks set url = '" + b + "', price = case person when 1 then 'none' else '1' end", nil, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig, q := failedOnce(t, c.hooks)
			if c.change != "" {
				rig.DB.Exec(t, c.change)
				rig.CaughtUp(t)
			}
			if name == "a key whose query fails" {
				left, err := q.Refresh(t.Context(), claim(t, q, 100, 8, time.Minute, nil))
				if err == nil || len(left) != 1 || left[0].URL != a {
					t.Errorf("%d are sent as they were stored, %v", len(left), err)
				}
				c.then, c.states = []string{b + " old"}, []string{"pending", "pending"}
			} else if sent := refreshed(t, q); !slices.Equal(sent, c.sent) {
				t.Errorf("sent at once: %q, want %q", sent, c.sent)
			}
			proven(t, rig)
			// it waits for what is in flight there
			rig.DB.Exec(t, "update attendee_relay.pending set due_at = now() where lease is null")
			if then := refreshed(t, q); !slices.Equal(then, c.then) {
				t.Errorf("sent elsewhere: %q, want %q", then, c.then)
			}
			states := pgtest.Values[string](t, rig.DB,
				"select state || case state when 'pending' then '' else ': ' || last_error end from attendee_relay.outbox order "+
					"by 1")
			if !slices.Equal(states, c.states) {
				t.Errorf("states %q, want %q", states, c.states)
			}
			if bodies := pgtest.Value[int](t, rig.DB,
				"select count(distinct payload)::int from attendee_relay.outbox where source_key = '1'"); bodies != 1 {
				t.Errorf("%d bodies", bodies)
			}
		})
	}
}

// A message in flight elsewhere is not touched, and neither is one whose lease went to somebody else.
func TestARetryIsRedirectedUnderItsLeaseOnly(t *testing.T) {
	t.Parallel()
	rig, q := failedOnce(t, "(1, 'k', 'https://example.org/a', null)")
	first := claim(t, q, 1, 8, time.Minute, nil)
	rig.DB.Exec(t, "update attendee_relay.pending set lease_ends = now()")
	second := claim(t, q, 1, 8, time.Minute, nil)
	rig.DB.Exec(t, "update hooks set url = 'https://example.org/b'")
	if left, err := q.Refresh(t.Context(), first); err != nil || len(left) != 0 {
		t.Errorf("%d are sent without a lease, %v", len(left), err)
	}
	url := pgtest.Value[string](t, rig.DB, "select webhook_url from attendee_relay.outbox")
	if url != "https://example.org/a" {
		t.Errorf("moved to %s without a lease", url)
	}
	if left, err := q.Refresh(t.Context(), second); err != nil || len(left) != 0 {
		t.Errorf("%d are sent where they do not go any more, %v", len(left), err)
	}
	// An answer that the first attempt got late is a delivery all the same.
	settle(t, q, outbox.Settled{Applied: 1}, outbox.Settlement{Message: first[0], Outcome: outbox.Delivered(attempt)})
}

// Nothing is sent to a disabled endpoint, so nobody would notice that its organiser has given another URL.
func TestMessagesOfADisabledEndpointFollowTheirURL(t *testing.T) {
	t.Parallel()
	var hooks string
	for range 250 {
		hooks += ", (nextval('n')::int, 'k', 'https://example.org/a', null)"
	}
	rig := peopleRig(t, "create sequence n; "+hooksTable)
	rig.Outbox.Query = hooksQuery
	rig.Start(t)
	rig.AwaitLeading(t)
	rig.DB.Exec(t, "insert into hooks (person, delivery_key, url, secret) values "+hooks[2:])
	rig.DB.Exec(t, "insert into people select person, 'Accepted' from hooks")
	rig.Settled(t)
	q := outbox.NewQueue(rig.DB.Pool(t), "test", outbox.Breaker{Failures: 10, Probe: time.Minute}, rig.Resolver().Lookup)
	settle(t, q, outbox.Settled{Applied: 1}, outbox.Settlement{Message: claim(t, q, 1, 8, time.Minute, nil)[0],
		Outcome: outbox.Gone(attempt)})
	look := func() (looks int) {
		rig.DB.Exec(t, "update attendee_relay.endpoint set look_at = now() where state = 'disabled'")
		for {
			more, err := q.Look(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !more {
				return looks
			}
			looks++
		}
	}
	if n := look(); n != 1 {
		t.Errorf("it is looked at %d times although nothing has changed", n)
	}
	rig.DB.Exec(t, "update hooks set url = 'https://example.org/b' where person > 120")
	left := func() int {
		return pgtest.Value[int](t, rig.DB,
			"select count(*)::int from attendee_relay.outbox where webhook_url = 'https://example.org/a'")
	}
	look() // from the 101st on
	if n := left(); n != 120 {
		t.Errorf("%d messages are left", n)
	}
	if got := claim(t, q, 1000, 1000, time.Minute, nil); len(got) != 130 {
		t.Errorf("%d of the moved messages are claimed", len(got))
	}
	rig.DB.Exec(t, "update hooks set url = 'https://example.org/b'")
	for range 3 {
		look()
	}
	if n := left(); n != 0 {
		t.Errorf("%d messages are left", n)
	}
}

// A payload query that runs into its caller's deadline leaves the connection as the next one needs it.
func TestALookupThatIsCutShortHarmsNoOther(t *testing.T) {
	t.Parallel()
	rig, _ := failedOnce(t, "(1, 'k', 'https://example.org/a', null)")
	rig.DB.Exec(t, "update hooks set price = 'none'")
	lookup := rig.Resolver().Lookup
	keys := []string{"1", "2", "3"}
	_, _ = lookup(t.Context(), keys)
	began := time.Now()
	_, _ = lookup(t.Context(), keys)
	took := time.Since(began) // with a connection that is there
	const cuts = 40
	for i := range cuts {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*took*3/2/cuts)
		_, _ = lookup(ctx, keys)
		cancel()
		// This call opens a new connection after one was cut: a call that is cut would not wait for it. Key 2 has no row.
		if _, err := lookup(t.Context(), []string{"2"}); err != nil {
			t.Fatalf("after cut %d: %v", i, err)
		}
	}
	rig.DB.Exec(t, "update hooks set price = '1'")
	if rows, err := lookup(t.Context(), []string{"1"}); err != nil || len(rows) != 1 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
	// A session that was cut off ends soon; one that was left open would end with idle_in_transaction_session_timeout,
	// after 10 s.
	pgtest.WaitUntil(t, 5*time.Second, "no transaction is left open", func() (bool, string) {
		open := pgtest.Value[int](t, rig.DB, "select count(*)::int from pg_stat_activity where datname = "+
			"current_database() and state like 'idle in transaction%' and application_name like '%resolver'")
		return open == 0, strconv.Itoa(open)
	})
}

// A look at a disabled endpoint finds new secrets for two messages. The first is leased when the look locks it, and
// free when the look writes; in between another process has begun to move it elsewhere. The look's answer for it is
// older, and is not written.
func TestAnOlderAnswerDoesNotUndoAMove(t *testing.T) {
	t.Parallel()
	rig, q := failedOnce(t, "(1, 'k', 'https://example.org/a', 'old'), (2, 'k', 'https://example.org/a', 'old')")
	rig.DB.Exec(t, "update hooks set secret = 'new'")
	rig.DB.Exec(t, "update attendee_relay.endpoint set state = 'disabled', look_at = now()")
	rig.DB.Exec(t, `insert into attendee_relay.endpoint (id, webhook_url)
		values (md5('c')::uuid, 'https://example.org/c')`)
	rig.DB.Exec(t, `update attendee_relay.pending
		set lease = md5('l')::uuid, lease_ends = now() + interval '1 hour', due_at = now() + interval '1 hour'
		where id = (select min(id) from attendee_relay.pending)`)
	begin := func(statements ...string) pgx.Tx {
		tx, err := rig.DB.Pool(t).Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
		for _, sql := range statements {
			if _, err := tx.Exec(t.Context(), sql); err != nil {
				t.Fatalf("%s: %v", sql, err)
			}
		}
		return tx
	}
	commit := func(tx pgx.Tx) {
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	looked := make(chan error, 1)
	waitsFor := func(tx pgx.Tx) bool {
		return pgtest.Value[bool](t, rig.DB, "select exists (select from pg_stat_activity where datname = "+
			"current_database() and $1::int = any (pg_blocking_pids(pid)))",
			tx.Conn().PgConn().PID())
	}

	second := begin("select from attendee_relay.pending where id = (select max(id) from attendee_relay.pending) for " +
		"update")
	go func() {
		_, err := q.Look(context.WithoutCancel(t.Context()))
		looked <- err
	}()
	pgtest.WaitUntil(t, 20*time.Second, "the look waits for the second message", func() (bool, string) {
		return waitsFor(second), ""
	})
	rig.DB.Exec(t, "update attendee_relay.pending set lease = null, lease_ends = null where lease is not null")
	move := begin(`update attendee_relay.message set endpoint = md5('c')::uuid, webhook_url = 'https://example.org/c'
		where id = (select min(id) from attendee_relay.pending)`,
		`update attendee_relay.pending set endpoint = md5('c')::uuid where id = (select min(id) from attendee_relay.pending)`)
	commit(second)
	var err error
	ended := false
	pgtest.WaitUntil(t, 20*time.Second, "the look ends, or waits for the move", func() (bool, string) {
		select {
		case err = <-looked:
			ended = true
		default:
		}
		return ended || waitsFor(move), ""
	})
	commit(move)
	if !ended {
		err = <-looked
	}
	if err != nil {
		t.Error(err)
	}
	got := pgtest.Values[string](t, rig.DB, `select m.webhook_url || ' ' || m.secret || ' ' || (m.endpoint = p.endpoint)
		from attendee_relay.message m join attendee_relay.pending p using (id) order by id`)
	if want := []string{"https://example.org/c old true", "https://example.org/a new true"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
