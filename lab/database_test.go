package lab

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"attendee-relay/internal/pgtest"
)

// connect opens the laboratory's own pool, which goes past the proxies. Its users expect Postgres to be away at times.
func (l *laboratory) connect() {
	l.pool = l.db.OwnerPool(l.t, func(c *pgxpool.Config) {
		c.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return true }
	})
}

// exec runs a statement, or says why it could not.
func (l *laboratory) exec(sql string, args ...any) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err := l.pool.Exec(ctx, sql, args...)
	return err
}

// ask runs a query, or says why it could not. The rows must be read at once.
func (l *laboratory) ask(sql string, args ...any) (pgx.Rows, error) {
	return l.pool.Query(context.Background(), sql, args...)
}

// table draws one of the relay's tables.
func (l *laboratory) table() string { return l.tables[l.random.IntN(len(l.tables))] }

// armTables prepares the relay's tables to be full at times. They are made by the first leader.
func (l *laboratory) armTables() {
	l.t.Helper()
	l.tables = pgtest.Values[string](l.t, l.db, `select relname::text from pg_class
		where relnamespace = 'attendee_relay'::regnamespace and relkind = 'r' order by 1`)
	for _, table := range l.tables {
		l.db.Exec(l.t, fmt.Sprintf(`create trigger full_disk before insert or update or delete on attendee_relay.%s
			for each statement execute function lab.refuse_when_full()`, table))
	}
}

// awaitLeader waits until one of the relays streams.
func (l *laboratory) awaitLeader(within time.Duration) {
	l.t.Helper()
	pgtest.WaitUntil(l.t, within, "a relay leads", func() (bool, string) {
		text := ""
		for _, r := range l.relays {
			state := r.State(l.t)
			if state.Ready && state.Role == "leader" {
				return true, ""
			}
			text += fmt.Sprintf("%+v ", state)
		}
		return false, text
	})
}

// awaitDelivered waits until everything that was accepted is delivered, as far as the counts tell; the verdict looks
// closer. An acceptance that was empty or withdrawn counts as delivered here.
func (l *laboratory) awaitDelivered(within time.Duration) {
	l.t.Helper()
	const state = `select (select count(*) from lab.truth join lab.hooks using (event))::text || ' accepted'
		|| coalesce((select string_agg(format(', %s %s', count, state), '' order by state)
		from (select state, count(*) from (select case when last_error like 'withdrawn:%' then 'delivered' else state end as
			state from attendee_relay.outbox union all
			select 'delivered' from attendee_relay.acceptance a join lab.hooks h
				on h.event = (select t.event from lab.truth t where t.attendee = a.identity::bigint limit 1)
			where a.state = 'empty') as settled group by state) as states), '')
		|| coalesce((select format(', %s waiting', count(*)) from attendee_relay.acceptance where state = 'waiting' having
			count(*) > 0), '')`
	accepted := pgtest.Value[int](l.t, l.db, "select count(*)::int from lab.truth join lab.hooks using (event)")
	want := fmt.Sprintf("%[1]d accepted, %[1]d delivered", accepted)
	now := ""
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if now = pgtest.Value[string](l.t, l.db, state); now == want {
			return
		}
	}
	l.t.Errorf("%v after everything was healed, the outbox holds: %s", within, now)
}
