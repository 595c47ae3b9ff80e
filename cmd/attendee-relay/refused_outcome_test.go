package main

import (
	"net/http"
	"strings"
	"testing"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

// A trigger on a table of ours refuses the outcome of one message: the others are recorded, a fault names that message,
// and it is not sent again. Without the trigger its outcome is recorded.
func TestAnOutcomeThatTheDatabaseRefusesIsNamed(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	receiver := relaytest.NewReceiver(t, nil)
	event := relaytest.AddEvent(t, db, receiver.URL)
	relay := relaytest.Run(t, db)
	relay.AwaitRole(t, ready, "leader")
	db.Exec(t, `create function refused() returns trigger language plpgsql as $$ begin
			if (select source_key from attendee_relay.message where id = new.message) = '7'
				then raise exception 'refused' using errcode = '54000'; end if;
			return new; end $$;
		create trigger refused before insert on attendee_relay.exchange for each row execute function refused()`)
	db.Exec(t, `insert into attendees (id, event_id, name, surname, email, status)
		select i, $1, 'Ada', 'Lovelace', 'a@example.org', 'Accepted' from generate_series(1, 50) as i`, event)
	states := func(want string) {
		t.Helper()
		pgtest.WaitUntil(t, stopped, "the messages are "+want, func() (bool, string) {
			got := pgtest.Value[string](t, db, `select coalesce(string_agg(n || ' ' || state, ', ' order by state), '')
				from (select state, count(*) as n from attendee_relay.outbox group by state) s`)
			return got == want, got
		})
	}
	states("49 delivered, 1 pending")
	id := pgtest.Value[string](t, db, "select message_id from attendee_relay.outbox where state = 'pending'")
	relay.Await(t, stopped, "names it and is ready", func(s relaytest.State) bool {
		return s.Status == http.StatusOK && s.Codes() == "delivery_failing" && strings.Contains(s.Faults[0].Message, id)
	})
	db.Exec(t, "drop trigger refused on attendee_relay.exchange")
	states("50 delivered")
	relay.Await(t, stopped, "shows no fault", func(s relaytest.State) bool {
		return s.Status == http.StatusOK && s.Codes() == ""
	})
	sent := map[string]int{}
	for _, w := range receiver.Webhooks() {
		sent[w.ID]++
	}
	if len(sent) != 50 || sent[id] != 1 {
		t.Errorf("%d messages were sent, it %d times", len(sent), sent[id])
	}
}
