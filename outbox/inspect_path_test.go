package outbox_test

import (
	"strings"
	"testing"

	"attendee-relay/internal/capturetest"
	"attendee-relay/internal/pgtest"
)

// The finding names each role that may create a function where the operator's query looks names up, and the statement
// that revokes the right; the embedded query names its schemas itself.
func TestOthersMayCreateInTheRolesPath(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	other := db.Name() + "_other"
	db.Exec(t, "create role "+other)
	t.Cleanup(func() { db.Exec(t, "drop owned by "+other+"; drop role "+other) })
	db.Exec(t, `create schema "My App"; grant usage on schema "My App" to public;
		grant create on schema "My App" to public, `+other+`;
		revoke create on schema public from public`)
	rig := capturetest.New(db)
	const columns = "a.id as key, a.id as attendee_id, a.name, a.surname, a.email, 1 as price, 'EUR' as currency, " +
		"a.event_id, 'E' as event_name"
	own := "select " + columns + " from attendees a where a.id = any ($1::bigint[])"
	for _, c := range []struct{ name, query, path, want string }{
		{"the embedded query", "", `"My App", public`, ""},
		{"its own, outside of the path", own, "public", ""},
		{"its own", own, `"My App", public, nowhere`, `warn search_path`},
	} {
		rig.Outbox.Query = c.query
		address := db.URL() + "&search_path=" + strings.ReplaceAll(strings.ReplaceAll(c.path, `"`, "%22"), " ", "%20")
		list, fixes := unmet(inspectQuery(t, rig, address))
		if got := strings.Join(list, " "); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if c.want == "" {
			continue
		}
		want := `REVOKE CREATE ON SCHEMA "My App" FROM PUBLIC; REVOKE CREATE ON SCHEMA "My App" FROM ` + other
		if fixes[0] != want {
			t.Errorf("%s: the fix is %q", c.name, fixes)
		}
		paste(t, rig.DB, fixes...)
		if list, _ := unmet(inspectQuery(t, rig, address)); len(list) > 0 {
			t.Errorf("%s: after the fix %q", c.name, list)
		}
	}
}
