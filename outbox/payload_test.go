package outbox_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"attendee-relay/internal/capturetest"
	"attendee-relay/internal/fault"
	"attendee-relay/internal/pgtest"
	"attendee-relay/outbox"
)

const peopleTable = `create table people (id int primary key, status text, note text)`

// awaitMessages waits until exactly these attendees have messages, in any order.
func awaitMessages(t *testing.T, rig *capturetest.Rig, want ...string) {
	t.Helper()
	slices.Sort(want)
	pgtest.WaitUntil(t, capturetest.Patience, fmt.Sprintf("the messages are %q", want), func() (bool, string) {
		got := pgtest.Values[string](t, rig.DB, "select attendee_id from attendee_relay.outbox order by attendee_id")
		waiting := pgtest.Values[string](t, rig.DB,
			"select format('%s: %s, %s evaluations, %s', source_key, state, evaluations, last_error) from "+
				"attendee_relay.acceptance")
		slices.Sort(got)
		return slices.Equal(got, want), fmt.Sprintf("messages %q, acceptances %q, faults %v", got, waiting, rig.Board.List())
	})
}

// awaitAcceptance waits until the acceptance of a key is in this state, with this in its error.
func awaitAcceptance(t *testing.T, rig *capturetest.Rig, key, state, reason string) {
	t.Helper()
	pgtest.WaitUntil(t, capturetest.Patience, "the acceptance of "+key+" is "+state+" with "+reason,
		func() (bool, string) {
			got := pgtest.Values[string](t, rig.DB,
				"select state || ' ' || coalesce(last_error, '') from attendee_relay.acceptance where source_key = $1", key)
			return len(got) == 1 && strings.HasPrefix(got[0], state+" ") && strings.Contains(got[0], reason),
				fmt.Sprintf("%q", got)
		})
}

func TestQueryThatFailsForSomeKeys(t *testing.T) {
	t.Parallel()
	rig := queryRig(t, peopleTable, "1 / length(note)")
	// More bad ones in a row than any that would be taken for a broken query, and good ones around them.
	rig.DB.Exec(t, `insert into people select i, 'Accepted', case when i between 2 and 9 then '' else 'x' end
		from generate_series(1, 12) as i`)
	awaitMessages(t, rig, "1", "10", "11", "12")
	awaitAcceptance(t, rig, "5", "waiting", "division by zero")
	rig.DB.Exec(t, "insert into people values (20, 'Accepted', 'x')")
	awaitMessages(t, rig, "1", "10", "11", "12", "20")
	rig.DB.Exec(t, "update people set note = 'repaired'")
	awaitMessages(t, rig, "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "20")
	rig.AwaitNoFault(t)
}

func TestQueryThatFailsForAll(t *testing.T) {
	t.Parallel()
	rig := peopleRig(t, peopleTable+`; create table names (id int, name text);
		insert into names select i, 'x' from generate_series(1, 50) as i`)
	rig.Outbox.Query = strings.Replace(peopleQuery, "'Ada'", "(select max(n.name) from names n where n.id = people.id)", 1)
	rig.Start(t)
	rig.CaughtUp(t)
	rig.DB.Exec(t, "alter table names rename to others")
	for i := range 10 {
		rig.DB.Exec(t, "insert into people values ($1, 'Accepted')", i+1)
	}
	rig.CaughtUp(t) // capture goes on
	if got := len(rig.Keys(t)); got != 10 {
		t.Errorf("%d acceptances are recorded, want 10", got)
	}
	pgtest.WaitUntil(t, capturetest.Patience, "the fault is shown", func() (bool, string) {
		list := rig.Board.List()
		return len(list) == 1 && (list[0].Code == fault.QueryFailing || list[0].Code == fault.QueryInvalid) && rig.Leading(),
			fmt.Sprint(list)
	})
	awaitAcceptance(t, rig, "5", "waiting", "names")
	rig.DB.Exec(t, "alter table others rename to names")
	awaitMessages(t, rig, "1", "2", "3", "4", "5", "6", "7", "8", "9", "10")
	rig.AwaitNoFault(t)
}

func TestQueryThatIsNotReady(t *testing.T) {
	t.Parallel()
	rig := peopleRig(t, peopleTable)
	rig.Outbox.Query = peopleQuery + " and note = 'ready'"
	rig.Start(t)
	rig.AwaitLeading(t)
	rig.DB.Exec(t, "insert into people values (1, 'Accepted'), (2, 'Accepted'), (3, 'Accepted'), (4, 'Accepted')")
	// Evaluated so often that the next time is far away: only the row's change can be what brings the message.
	pgtest.WaitUntil(t, capturetest.Patience, "all have been evaluated", func() (bool, string) {
		n := pgtest.Value[int](t, rig.DB, "select count(*)::int from attendee_relay.acceptance where evaluations > 0")
		return n == 4, fmt.Sprint(n)
	})
	rig.DB.Exec(t, "update attendee_relay.acceptance set next_evaluation_at = now() + interval '1 hour'")
	rig.DB.Exec(t, "update people set note = 'ready' where id = 1")
	awaitMessages(t, rig, "1")
	rig.DB.Exec(t, "update people set id = 22, note = 'ready' where id = 2")
	awaitMessages(t, rig, "1", "22")
	rig.DB.Exec(t, "update people set status = 'Cancelled' where id = 3")
	awaitAcceptance(t, rig, "3", "empty", "")
	rig.DB.Exec(t, "delete from people where id = 4")
	awaitAcceptance(t, rig, "4", "empty", "")
	rig.DB.Exec(t, "insert into people values (3, 'Accepted', 'ready') on conflict (id) do update set status = "+
		"'Accepted', note = 'ready'")
	awaitMessages(t, rig, "1", "22", "3")
}

func TestPatienceEnds(t *testing.T) {
	t.Parallel()
	rig := peopleRig(t, peopleTable)
	rig.Outbox.Query = peopleQuery + " and note = 'ready'"
	rig.Outbox.Patience = 1500 * time.Millisecond
	rig.Start(t)
	rig.AwaitLeading(t)
	rig.DB.Exec(t, "insert into people values (1, 'Accepted'), (2, 'Accepted')")
	awaitAcceptance(t, rig, "1", "waiting", "")
	rig.DB.Exec(t, "update people set note = 'ready' where id = 2")
	awaitAcceptance(t, rig, "1", "empty", "")
	awaitMessages(t, rig, "2")
}

func TestRowsOfOneKey(t *testing.T) {
	t.Parallel()
	hooks := func(rows string) string {
		return strings.Replace(peopleQuery, "'https://example.org/hook' as webhook_url\n\tfrom people",
			"hook.url as webhook_url, hook.name as delivery_key from people cross join (values "+rows+") as hook (url, name)", 1)
	}
	cases := []struct {
		name, query, defaultURL string
		want                    []string
		failed                  string
	}{
		{"several webhooks", hooks("('https://a', null), ('https://b', null)"), "",
			[]string{"1 https://a pending", "1 https://b pending"}, ""},
		{"several deliveries to one webhook", hooks("('https://a', 'x'), ('https://a', 'y')"), "",
			[]string{"x https://a pending", "y https://a pending"}, ""},
		{"two the same", hooks("('https://a', 'x'), ('https://a', 'x')"), "", nil,
			"two rows with the same delivery_key and webhook_url"},
		{"no webhook", hooks("(null, null)"), "", []string{"1  skipped"}, ""},
		{"blank webhook", hooks("(' ', null)"), "", []string{"1  skipped"}, ""},
		{"a webhook of invisible characters", hooks("(E'\\uFEFF\\u200B\\u00A0', null)"), "", []string{"1  skipped"}, ""},
		{"a webhook as the query gives it", hooks("(E'\\uFEFFhttps://a/b c ', null), ('https://a/b c', null)"), "",
			[]string{"1 https://a/b c pending", "1 \ufeffhttps://a/b c  pending"}, ""},
		{"no webhook and a default", hooks("(null, null)"), "https://default", []string{"1 https://default pending"}, ""},
		{"the default twice", hooks("('', null), ('https://default', null)"), "https://default", nil,
			"two rows with the same delivery_key and webhook_url"},
		{"attendee_id missing", strings.Replace(peopleQuery, "id as attendee_id", "null::int as attendee_id", 1), "", nil,
			"attendee_id is NULL"},
		{"a price that is none", strings.Replace(peopleQuery, "12.50", "'NaN'::numeric", 1), "", nil, "price"},
		{"an array that is none", strings.Replace(peopleQuery, "12.50", "json_build_object() as form_fields, 12.50", 1), "",
			nil, "form_fields"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rig := peopleRig(t, peopleTable)
			rig.Outbox.Query, rig.Outbox.DefaultURL = c.query, c.defaultURL
			rig.Start(t)
			rig.AwaitLeading(t)
			rig.DB.Exec(t, "insert into people values (1, 'Accepted')")
			if c.failed != "" {
				awaitAcceptance(t, rig, "1", "waiting", c.failed)
				return
			}
			pgtest.WaitUntil(t, capturetest.Patience, "the messages are there", func() (bool, string) {
				got := pgtest.Values[string](t, rig.DB,
					"select format('%s %s %s', delivery_key, webhook_url, state) from attendee_relay.outbox order by 1")
				return slices.Equal(got, c.want), fmt.Sprintf("%q", got)
			})
		})
	}
}

func TestQueriesThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, query, says string }{
		{"a column is missing", strings.Replace(peopleQuery, "as surname", "as family_name", 1), "surname"},
		{"a table is missing", "select * from nowhere", `"nowhere" does not exist`},
		{"no parameter", "select 1 as key", "0 parameters"},
		{"two parameters", peopleQuery + " and note = $2", "2 parameters"},
		{"a parameter that is no array", strings.Replace(peopleQuery, "any ($1::int[])", "$1::int", 1), "array"},
		{"an array that is no json", strings.Replace(peopleQuery, "12.50", "'[]' as form_fields, 12.50", 1), "json"},
		{"the same column twice", strings.Replace(peopleQuery, "12.50", "1 as key, 12.50", 1), "two columns named key"},
		{"two statements", peopleQuery + "; select 1", "multiple commands"},
		{"no SELECT", "delete from people where id = any ($1::int[])", "no columns"},
		{"not SQL", "hello", "syntax error"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rig := peopleRig(t, peopleTable)
			rig.Outbox.Query = c.query
			rig.Start(t)
			if f := rig.AwaitFault(t, fault.QueryInvalid); !strings.Contains(f.Message, c.says) {
				t.Errorf("the fault says %q and not %q", f.Message, c.says)
			}
			if n := pgtest.Value[int](t, rig.DB,
				"select count(*)::int from pg_class where relnamespace = 'attendee_relay'::regnamespace"); n > 0 {
				t.Error("the schema was made although the query cannot be used")
			}
		})
	}
}

func TestQueriesThatCanBeUsed(t *testing.T) {
	t.Parallel()
	const uuid = "00000000-0000-4000-8000-00000000000"
	cases := []struct{ name, ddl, query, id, key, want string }{
		{"a semicolon and a comment", peopleTable, peopleQuery + " ; -- the end", "1", "", `"id":1,`},
		{"a comment before", peopleTable, "/* before */ -- and after $2\n" + peopleQuery + "\n;\n", "1", "", `"id":1,`},
		{"text keys", strings.Replace(peopleTable, "id int", "id text", 1), strings.Replace(peopleQuery, "int[]", "text[]",
			1), `a "b"\{},'ü`, "", `"id":"a \"b\"\\{},'ü",`},
		{"uuid keys", strings.Replace(peopleTable, "id int", "id uuid", 1), strings.Replace(peopleQuery, "int[]", "uuid[]",
			1), uuid + "1", "", `"id":"` + uuid + `1",`},
		{"a common table expression", peopleTable, "with p as (" + peopleQuery + ") select * from p", "1", "", `"id":1,`},
		{"unused columns", peopleTable, strings.Replace(peopleQuery, "12.50", "now() as whatever, now() as whatever, 12.50",
			1), "1", "", `"id":1,`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rig := peopleRig(t, c.ddl)
			rig.Outbox.Query = c.query
			if strings.Contains(c.ddl, "uuid") {
				rig.Marker = "insert into people (id, status) values ('" + uuid +
					"9', 'marker') on conflict (id) do update set status = 'marker'"
			}
			rig.Start(t)
			rig.CaughtUp(t)
			rig.DB.Exec(t, "insert into people (id, status) select x.id, 'Accepted' from json_populate_record(null::people, "+
				"json_build_object('id', $1::text)) as x", c.id)
			awaitMessages(t, rig, c.id)
			body := pgtest.Value[string](t, rig.DB, "select payload from attendee_relay.outbox")
			if !strings.Contains(body, c.want) {
				t.Errorf("the body %s does not contain %s", body, c.want)
			}
		})
	}
}

func TestQueryCannotWrite(t *testing.T) {
	t.Parallel()
	rig := peopleRig(t, peopleTable)
	rig.Start(t)
	rig.CaughtUp(t)
	rig.Stop(t) // a first start would wait for a query that only reads
	rig.Outbox.Query = `update people set note = 'written' where id = any ($1::int[])
		returning id as key, id as attendee_id, 'n' as name,
		's' as surname, 'e' as email, 1 as price, 'EUR' as currency, 1 as event_id, 'e' as event_name`
	rig.Start(t)
	rig.AwaitLeading(t)
	rig.DB.Exec(t, "insert into people values (1, 'Accepted')")
	awaitAcceptance(t, rig, "1", "waiting", "the payload query")
	rig.CaughtUp(t)
	if n := pgtest.Value[int](t, rig.DB, "select count(*)::int from people where note = 'written'"); n != 0 {
		t.Error("the query has written")
	}
}

func TestSlowQueryStopsOnlyRendering(t *testing.T) {
	t.Parallel()
	rig := queryRig(t, peopleTable, "(select 1 from pg_sleep(case when note = 'slow' then 5 else 0 end))",
		func(c *outbox.Config) { c.QueryTimeout = 200 * time.Millisecond })
	rig.DB.Exec(t, "insert into people select i, 'Accepted', case when i < 6 then 'slow' end from generate_series(1, 7) "+
		"as i")
	rig.CaughtUp(t)
	awaitMessages(t, rig, "6", "7")
	awaitAcceptance(t, rig, "1", "waiting", "statement timeout")
	rig.DB.Exec(t, "update people set note = 'fast'")
	awaitMessages(t, rig, "1", "2", "3", "4", "5", "6", "7")
}
