package outbox_test

import (
	"strings"
	"testing"

	"attendee-relay/internal/capturetest"
	"attendee-relay/internal/pgtest"
)

// An index is advised only where it would be used, and whether there is a warning follows from the catalog: not from
// statistics, nor from how the planner would rather read a small table.
func TestAdviceOfAnIndex(t *testing.T) {
	t.Parallel()
	const columns = ` as key, 'a' as attendee_id, 'n' as name, 's' as surname, 'e' as email, 1 as price,
		'EUR' as currency, 1 as event_id, 'E' as event_name from people p`
	cases := []struct {
		name, ddl, query string
		// advice is the fix; "": it passes.
		advice string
	}{
		{"a cast around an indexed key", "", "p.id" + columns + " where p.id::text = any ($1::text[])",
			`compare the column itself in the payload query: "id" = ANY ($1::integer[])`},
		{"a cast around a key without an index", "", "p.ref" + columns + " where p.ref::text = any ($1::text[])",
			`compare the column itself in the payload query: "ref" = ANY ($1::bigint[]), ` +
				`and CREATE INDEX CONCURRENTLY ON public.people ("ref")`},
		{"a function around a key", "", "p.mail" + columns + " where lower(p.mail) = any ($1::text[])",
			`compare the column itself in the payload query: "mail" = ANY ($1::text[]), ` +
				`and CREATE INDEX CONCURRENTLY ON public.people ("mail")`},
		{"a cast beside a constant", "", "p.id" + columns + " where p.id::text = any ($1::text[]) and p.status = 'Accepted'",
			`compare the column itself in the payload query: "id" = ANY ($1::integer[])`},
		{"a key without an index", "", "p.mail" + columns + " where p.mail = any ($1::text[])",
			`CREATE INDEX CONCURRENTLY ON public.people ("mail")`},
		{"a varchar with an index, which Postgres casts", "create index on people (code)", "p.code" + columns +
			" where p.code = any ($1::text[])", ""},
		{"a varchar without an index, which Postgres casts", "", "p.code" + columns + " where p.code = any ($1::text[])",
			`CREATE INDEX CONCURRENTLY ON public.people ("code")`},
		{"a domain with an index", "create index on people (nick)", "p.nick" + columns + " where p.nick = any ($1::text[])",
			""},
		{"only a partial index", "create index on people (mail) where status = 'x'", "p.mail" + columns +
			" where p.mail = any ($1::text[])", `CREATE INDEX CONCURRENTLY ON public.people ("mail")`},
		{"in the order of the index", "", "p.id" + columns + " where p.id = any ($1::int[]) order by p.id", ""},
		{"grouped in the order of the index", "",
			"p.id as key, count(*) as n, 'a' as attendee_id, 'n' as name, 's' as surname, 'e' as email, 1 as price, 'EUR' as " +
				"currency, 1 as event_id, 'E' as event_name from people p where p.id = any ($1::int[]) group by p.id", ""},
		{"no condition on it", "", "q.id" +
			strings.Replace(columns, "people p", "people p cross join unnest($1::int[]) as q (id)", 1),
			"restrict what the payload query reads of public.people by $1, or by a join outside of a subquery"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rig := capturetest.New(pgtest.New(t, pgtest.Empty()))
			rig.DB.Exec(t, "create domain nickname as text; create table people (id int primary key, ref bigint, mail text, "+
				"code varchar(20), nick nickname, status text);"+c.ddl)
			rig.Source.Table, rig.Outbox.Query = "public.people", "select "+c.query
			for _, state := range []string{"select", "analyze people",
				"insert into people select i, i, i, i, i, 'Accepted' from generate_series(1, 3) i", "analyze people",
				"insert into people select i, i, i, i, i, 'Accepted' from generate_series(4, 20000) i", "analyze people"} {
				rig.DB.Exec(t, state)
				_, fixes := unmet(inspectQuery(t, rig, rig.DB.URL()))
				if got := strings.Join(fixes, " "); got != c.advice {
					t.Errorf("after %q: %q, want %q", state, got, c.advice)
				}
			}
		})
	}
}
