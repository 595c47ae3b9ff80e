package main

import (
	"slices"
	"strings"
	"testing"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

// A text primary key that is also SOURCE_KEY has bytes that are not UTF-8, in rows from before the first start and
// after it. Each such row is in the ledger, waits alone with its error, and is counted; the others are sent. adopt
// shows such rows, and marks or announces them; after the loss of the slot the comparison finds them.
func TestKeysWithoutUTF8(t *testing.T) {
	t.Parallel()
	eachOdd(t, func(t *testing.T, db *pgtest.DB, receiver *relaytest.Receiver, odd string) {
		db.Exec(t, `create table people (code text primary key, status text)`)
		db.Exec(t, pgtest.Publication("attendee_relay", "people"))
		settings := []string{"SOURCE_TABLE=public.people", "SOURCE_KEY=code", "SOURCE_BASELINE=send",
			"SOURCE_QUERY=select code as key, code as attendee_id, 'a' as name, 'b' as surname, 'c' as email, 1 as price, " +
				"'EUR' as currency, 1 as event_id, 'e' as event_name, '" + receiver.URL + "' as webhook_url from public.people " +
				"where code = any ($1::text[])"}
		put := func(status string, codes ...string) {
			t.Helper()
			db.Exec(t, `insert into people values ('`+strings.Join(codes, "', '"+status+"'), ('")+"', '"+status+"')")
		}
		// books waits until all messages are delivered except those with odd keys, which wait, and compares the size of the
		// ledger.
		books := func(delivered, waiting, ledger int) {
			t.Helper()
			awaitState(t, db, "delivered", int64(delivered))
			pgtest.WaitUntil(t, ready, "the odd ones wait", func() (bool, string) {
				got := pgtest.Values[string](t, db, `select last_error from attendee_relay.acceptance where state = 'waiting'
					and last_error ~ '22021|22P05'`)
				return len(got) == waiting, strings.Join(got, "\n")
			})
			if n := pgtest.Value[int](t, db, `select count(*)::int from attendee_relay.ledger`); n != ledger {
				t.Errorf("the ledger has %d rows, want %d", n, ledger)
			}
		}
		put("Accepted", "a", "a"+odd)
		relay := relaytest.Run(t, db, settings...)
		relay.AwaitRole(t, ready, "leader")
		books(1, 1, 2)
		put("Accepted", "b", "b"+odd)
		put("VIP", "c", "c"+odd, "d", "d"+odd)
		books(2, 2, 4)
		state := relay.Await(t, ready, "counts what waits", func(s relaytest.State) bool {
			return s.Codes() == "query_failing" && strings.Contains(s.Faults[0].Message, "payload query: 2;")
		})
		if !state.Ready {
			t.Errorf("it is not ready: %+v", state)
		}
		relay.Kill()

		settings = append(settings, "SOURCE_BASELINE=mark", "SOURCE_ACCEPTED=Accepted,VIP")
		flags := []string{"--keep-pending", "--send-missing", "--where", "code ~ '^d'"}
		shown := mustAdopt(t, db, settings, flags...)
		for _, want := range []string{"2 of them are announced: SOURCE_KEY d, d" + escaped(odd),
			"2 of them are marked, that is, remembered and not announced: SOURCE_KEY c, c" + escaped(odd)} {
			if !strings.Contains(shown, want) {
				t.Errorf("adopt does not show %q: %s", want, shown)
			}
		}
		mustAdopt(t, db, settings, append(flags, "--yes")...)
		relay = relaytest.Run(t, db, settings...)
		books(3, 3, 8)
		relay.Kill()
		db.AwaitFreeSlot(t, db.Name())
		db.Exec(t, "select pg_drop_replication_slot($1)", db.Name())
		put("VIP", "e", "e"+odd)
		db.Exec(t, "delete from people where code like 'c%'")
		relaytest.Run(t, db, settings...)
		books(4, 4, 8)
		// A row with a new key is announced under it.
		db.Exec(t, "update people set code = 'repaired' where code = 'a"+odd+"'")
		books(5, 3, 8)
		codes := pgtest.Values[string](t, db, "select distinct attendee_id from attendee_relay.outbox order by 1")
		if !slices.Equal(codes, []string{"a", "b", "d", "e", "repaired"}) {
			t.Errorf("announced are %q", codes)
		}
	})
}

// escaped returns a text as it is shown: bytes that are not UTF-8 as \x81.
func escaped(odd string) string {
	return strings.NewReplacer("\x81", `\x81`, "\xff", `\xff`, "\xf5", `\xf5`, "\xa1", `\xa1`).Replace(odd)
}
