package main

import (
	"testing"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

// Values may be longer than an index entry: a SOURCE_KEY that has to wait, and a primary key whose text form is twice
// as long as its stored form. Nothing stops, and a comparison of ledger and table finds no difference.
func TestKeysLongerThanAnIndexEntry(t *testing.T) {
	t.Parallel()
	receiver := relaytest.NewReceiver(t, nil)
	db := pgtest.New(t, pgtest.Empty())
	db.Exec(t, `create table people (code bytea, part int, reference text, ready bool default true, status text,
		primary key (code, part));
		create function long(n int) returns text language sql as
			$$ select string_agg(encode(sha256(format('%s %s', n, i)::bytea), 'hex'), '') from generate_series(1, 160) i $$;
		create function short(n int) returns bytea language sql as $$ select substr(decode(long(n), 'hex'), 1, 2600) $$`)
	db.Exec(t, pgtest.Publication("attendee_relay", "people"))
	db.Exec(t, "insert into people values (short(1), 1, long(1), true, 'Accepted')")
	settings := []string{"SOURCE_TABLE=public.people", "SOURCE_KEY=reference",
		"SOURCE_QUERY=select reference as key, part as attendee_id, 'a' as name, 'b' as surname, 'c' as email, 1 as price, " +
			"'EUR' as currency, 1 as event_id, 'e' as event_name, '" + receiver.URL + "' as webhook_url from public.people " +
			"where reference = any ($1::text[]) and ready"}
	relay := relaytest.Run(t, db, settings...)
	relay.AwaitRole(t, ready, "leader")
	db.Exec(t, "insert into people values (short(2), 2, long(2), false, 'Accepted'), (short(3), 3, 'plain', true, "+
		"'Accepted')")
	awaitState(t, db, "delivered", 1)
	db.Exec(t, "update people set ready = true where part = 2")
	awaitState(t, db, "delivered", 2)
	db.Exec(t, "update people set code = short(4), reference = long(4) where part = 3")
	db.Exec(t, "insert into people values (short(5), 5, long(5), true, 'Accepted')")
	awaitState(t, db, "delivered", 3)

	relay.Kill()
	slot := pgtest.Value[string](t, db,
		"select slot_name::text from pg_replication_slots where database = current_database()")
	db.AwaitFreeSlot(t, slot)
	db.Exec(t, "select pg_drop_replication_slot($1)", slot)
	db.Exec(t, "insert into people values (short(6), 6, long(6), true, 'Accepted')")
	relaytest.Run(t, db, settings...).AwaitRole(t, ready, "leader")
	awaitState(t, db, "delivered", 4)
	if gap := pgtest.Value[string](t, db,
		"select format('+%s -%s', added, removed) from attendee_relay.gap"); gap != "+1 -0" {
		t.Errorf("the comparison found %s", gap)
	}
}
