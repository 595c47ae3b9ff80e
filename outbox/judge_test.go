package outbox_test

import (
	"fmt"
	"strings"
	"testing"

	"attendee-relay/internal/capturetest"
	"attendee-relay/internal/fault"
	"attendee-relay/internal/pgtest"
)

// awaitQueryFault waits until the only fault says this of the payload query.
func awaitQueryFault(t *testing.T, rig *capturetest.Rig, partial bool, says ...string) {
	const code = fault.QueryFailing
	t.Helper()
	pgtest.WaitUntil(t, capturetest.Patience, fmt.Sprintf("%s (partial: %t) says %q", code, partial, says),
		func() (bool, string) {
			list := rig.Board.List()
			if len(list) != 1 || list[0].Code != code || list[0].Partial != partial {
				return false, fmt.Sprintf("%+v", list)
			}
			for _, text := range says {
				if !strings.Contains(list[0].Error(), text) {
					return false, list[0].Error()
				}
			}
			return true, ""
		})
}

// While any key waits for an error the fault says how many and the first error, without a value; the stage as a whole
// works.
func TestKeysThatWaitForAnErrorAreShown(t *testing.T) {
	t.Parallel()
	rig := queryRig(t, peopleTable, "(length(note) || note)::int")
	rig.DB.Exec(t, "insert into people values (1, 'Accepted', 'hidden')")
	awaitQueryFault(t, rig, true, "error of the payload query: 1;", "invalid input syntax", "value not shown")
	rig.DB.Exec(t, "insert into people values (2, 'Accepted', '4')")
	awaitMessages(t, rig, "2")
	awaitQueryFault(t, rig, true, "error of the payload query: 1;")
	// Many more that fail, while others work, do not stop the stage.
	rig.DB.Exec(t, "insert into people select i, 'Accepted', 'hidden' from generate_series(3, 10) as i")
	awaitQueryFault(t, rig, true, "error of the payload query: 9;")
	if text := rig.Board.List()[0].Error(); strings.Contains(text, "hidden") {
		t.Errorf("it shows a value: %s", text)
	}
	// A relay that starts anew shows it by what is stored, and a shutdown changes nothing.
	rig.Stop(t)
	rig.Start(t)
	awaitQueryFault(t, rig, true, "error of the payload query: 9;")
	rig.DB.Exec(t, "update people set note = '1' where id in (1, 3, 4)")
	awaitQueryFault(t, rig, true, "error of the payload query: 6;")
	rig.DB.Exec(t, "update people set status = 'Cancelled', note = '1'")
	rig.AwaitNoFault(t)
}

// An error of a row is one of its key.
func TestARowsErrorIsShown(t *testing.T) {
	t.Parallel()
	rig := queryRig(t, peopleTable, "'NaN'::numeric")
	rig.DB.Exec(t, "insert into people values (1, 'Accepted'), (2, 'Accepted')")
	awaitQueryFault(t, rig, true, "error of the payload query: 2;", "price")
}

// If it fails also for keys that it worked for before, rendering as a whole has stopped; the waiting acceptances are
// evaluated when it works again.
func TestAQueryThatFailsForEveryKeyStopsRendering(t *testing.T) {
	t.Parallel()
	rig := queryRig(t, peopleTable+"; create table rates (rate int); insert into rates values (1)",
		"1 / (select rate from rates where id > 0)")
	rig.DB.Exec(t, "insert into people values (1, 'Accepted')")
	awaitMessages(t, rig, "1")
	rig.DB.Exec(t, "update rates set rate = 0")
	rig.DB.Exec(t, "insert into people values (2, 'Accepted')")
	awaitQueryFault(t, rig, false, "error of the payload query: 1;", "division by zero")
	rig.DB.Exec(t, "update rates set rate = 1")
	awaitMessages(t, rig, "1", "2")
	rig.AwaitNoFault(t)
}

// The keys that it worked for before are asked for as the database keeps them.
func TestAQueryThatFailsForEveryKeyOfAnotherEncoding(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, pgtest.Encoding("LATIN1"))
	db.Exec(t, "create table people (code text primary key, id int, status text); create table rates (rate int); insert "+
		"into rates values (1)")
	rig := capturetest.New(db)
	rig.Source.Table, rig.Source.Key = "public.people", "code"
	rig.Outbox.Query = `select code as key, id as attendee_id, 'Ada' as name, '' as surname, '' as email,
		1 / rate as price, 'EUR' as currency,
		1 as event_id, 'Party' as event_name, 'https://example.org/hook' as webhook_url from people cross join rates
			where code = any ($1::text[])`
	rig.Marker = "insert into people values ('marker', 0, 'marker') on conflict (code) do update set status = 'marker'"
	rig.Start(t)
	rig.AwaitLeading(t)
	db.Exec(t, "insert into people values (U&'\\00e9', 1, 'Accepted')")
	awaitMessages(t, rig, "1")
	db.Exec(t, "update rates set rate = 0; insert into people values ('e', 2, 'Accepted')")
	awaitQueryFault(t, rig, false, "error of the payload query: 1;", "division by zero")
}
