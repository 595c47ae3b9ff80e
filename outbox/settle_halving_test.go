package outbox_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"attendee-relay/internal/capturetest"
	"attendee-relay/internal/pgtest"
	"attendee-relay/outbox"
)

// refuseIf has the database raise an error for the attempts for which the condition on new holds, and counts the
// attempts that it was given.
func refuseIf(t *testing.T, rig *capturetest.Rig, condition, code string) {
	t.Helper()
	rig.DB.Exec(t, fmt.Sprintf(`create sequence if not exists shown; grant usage on sequence shown to public;
		create or replace function refused() returns trigger language plpgsql as $$
		begin
			perform nextval('public.shown');
			if %s then raise exception 'refused' using errcode = '%s'; end if;
			return new;
		end $$;
		drop trigger if exists refused on attendee_relay.exchange;
		create trigger refused before insert on attendee_relay.exchange for each row
			execute function refused()`, condition, code))
}

// outcomes claims all messages: every second one is delivered, the others will be retried.
func outcomes(t *testing.T, q *outbox.Queue) (list []outbox.Settlement) {
	t.Helper()
	for i, m := range claim(t, q, 1000, 1000, time.Minute, nil) {
		outcome := outbox.RetryIn(0, attempt)
		if i%2 == 0 {
			outcome = outbox.Delivered(outbox.Attempt{StartedAt: attempt.StartedAt, Status: 200, Response: "ok"})
		}
		list = append(list, outbox.Settlement{Message: m, Outcome: outcome})
	}
	return list
}

// One outcome that the database refuses keeps none of the others from being recorded, whatever the error; if its texts
// are at fault it is recorded without them.
func TestOneOutcomeThatTheDatabaseRefuses(t *testing.T) {
	t.Parallel()
	const messages = 200
	for name, c := range map[string]struct {
		code, only string
		unstorable int
	}{
		"a value, in any form":             {"22021", "", 1},
		"a constraint, in any form":        {"23514", "", 1},
		"a limit, in any form":             {"54000", "", 1},
		"an error of a trigger, in a text": {"P0001", " and (new.response is not null or new.error is not null)", 0},
		"a broken page, in any form":       {"XX001", "", 1},
		"an error nobody knows, in a text": {"ZZ999", " and (new.response is not null or new.error is not null)", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig, q := newQueue(t, messages, 1)
			list := outcomes(t, q)
			for _, culprit := range []int{0, 1} { // one that was delivered, and one that was not
				row := list[culprit].Message.Row
				refuseIf(t, rig, fmt.Sprintf("new.message = %d", row)+c.only, c.code)
				before := pgtest.Value[int](t, rig.DB, "select last_value::int from shown")
				batch := append(list[culprit:culprit+1:culprit+1], list[2+culprit*messages/2:2+(culprit+1)*(messages/2-1)]...)
				got, err := q.Settle(t.Context(), batch)
				if err != nil || got.Applied != len(batch)-c.unstorable || got.Refused != 0 || len(got.Unstorable) != c.unstorable {
					t.Fatalf("%d applied, %d refused, %d unstorable of %d: %v", got.Applied, got.Refused, len(got.Unstorable),
						len(batch), err)
				}
				if c.unstorable > 0 && (got.Unstorable[0].Settlement.Message.Row != row || got.Unstorable[0].Err == nil) {
					t.Errorf("%+v is unstorable", got.Unstorable[0])
				}
				if shown := pgtest.Value[int](t, rig.DB, "select last_value::int from shown") - before; shown > 5*len(batch) {
					t.Errorf("%d attempts were written to store %d", shown, len(batch))
				}
				const kept = "select count(*)::int from attendee_relay.exchange where message = $1 and response is null and " +
					"error is null"
				if n := pgtest.Value[int](t, rig.DB, kept, row); n != 1-c.unstorable {
					t.Errorf("%d attempts of it are recorded without their texts", n)
				}
			}
		})
	}
}

// Many outcomes that the database refuses, those of one endpoint whose row is broken, keep none of the others from
// being recorded, even if they come first.
func TestManyOutcomesThatTheDatabaseRefusesComeFirst(t *testing.T) {
	t.Parallel()
	rig, q := newQueue(t, 100, 1)
	list := outcomes(t, q)
	slices.SortFunc(list, func(a, b outbox.Settlement) int { return cmp.Compare(a.Message.Row, b.Message.Row) })
	refuseIf(t, rig, fmt.Sprintf("new.message <= %d", list[19].Message.Row), "XX001")
	got, err := q.Settle(t.Context(), list)
	if err != nil || got.Applied != 80 || got.Refused != 0 || len(got.Unstorable) != 20 {
		t.Fatalf("%d applied, %d refused, %d unstorable: %v", got.Applied, got.Refused, len(got.Unstorable), err)
	}
}

// An error for every outcome is no reason to try thousands of times, or to give any up.
func TestOutcomesThatTheDatabaseAllRefuses(t *testing.T) {
	t.Parallel()
	rig, q := newQueue(t, 100, 1)
	list := outcomes(t, q)
	refuseIf(t, rig, "true", "P0001")
	if got, err := q.Settle(t.Context(), list); err == nil || got.Applied != 0 {
		t.Errorf("%d applied, %v", got.Applied, err)
	}
	if shown := pgtest.Value[int](t, rig.DB, "select last_value::int from shown"); shown > 150 {
		t.Errorf("%d attempts were written", shown)
	}
	rig.DB.Exec(t, "drop trigger refused on attendee_relay.exchange")
	settle(t, q, outbox.Settled{Applied: len(list)}, list...)
}
