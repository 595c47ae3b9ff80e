package outbox_test

import (
	"slices"
	"testing"

	"attendee-relay/outbox"
)

func TestQueryTables(t *testing.T) {
	t.Parallel()
	for query, want := range map[string][]string{
		"": {"public.attendees", "public.events", "public.fees", "public.form_fields", "public.form_values", "public.groups"},
		`with a (x) as (select * from app."Order Lines" /* from hidden */)
			select extract(epoch from(now())), * from a join only app.people p on true,
			lateral (select 1) b left join lateral unnest(p.tags) t on true -- join hidden`: {`app."Order Lines"`, "app.people"},
	} {
		got, err := outbox.QueryTables(outbox.Config{Query: query})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q names %q, %v", query, got, err)
		}
	}
}
