package outbox

import (
	"slices"
	"testing"
)

// Conditions as EXPLAIN of Postgres 14 to 18 writes them.
func TestOperandsOfAPlan(t *testing.T) {
	t.Parallel()
	cases := []struct {
		condition string
		want      []operand
	}{
		{`(a.id = ANY ($1))`, []operand{{column: "id"}}},
		{`((a.id)::text = ANY ($1))`, []operand{{column: "id", cast: "text"}}},
		{`((a.ref)::character varying(8) = (b.ref)::text)`, []operand{{column: "ref", cast: "character varying"}}},
		{`((a.id)::"My Type" = ANY ($1))`, []operand{{column: "id", wrapped: true}}},
		{`(lower(a.mail) = ANY ($1))`, []operand{{column: "mail", wrapped: true}}},
		{`(lower((a.mail)::text) = ANY ($1))`, []operand{{column: "mail", wrapped: true}}},
		{`((a.id + 1) = ANY ($1))`, []operand{{column: "id", wrapped: true}}},
		{`(b.person = a.id)`, []operand{{column: "id"}}},
		{`(b.person = (a.id)::text)`, []operand{{column: "id", cast: "text"}}},
		{`(b.person = COALESCE(a.id, 0))`, []operand{{column: "id", wrapped: true}}},
		{`(a."Order" = b.x)`, []operand{{column: "Order"}}},
		{`(((a.status)::text = 'Accepted'::text) AND (a.id = ANY ($1)))`, []operand{{column: "id"}}},
		{`((a.parent_id IS NULL) AND (a.id > 5))`, nil},
		{`(b.a = ANY ($1))`, nil},
		{`(data.id = ANY ($1))`, nil},
	}
	for _, c := range cases {
		if got := (scan{alias: "a"}).operands(c.condition); !slices.Equal(got, c.want) {
			t.Errorf("%s: %+v, want %+v", c.condition, got, c.want)
		}
	}
	if got := (scan{alias: "My A"}).operands(`("My A".id = ANY ($1))`); len(got) != 1 {
		t.Errorf("a quoted alias: %+v", got)
	}
}
