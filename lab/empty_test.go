package lab

import (
	"testing"

	"attendee-relay/internal/pgtest"
)

// What transactions do to row 1, and to row 2, which it becomes.
const (
	accepted      = "insert into lab.truth values (1, 1)"
	acceptedThere = "insert into lab.truth values (2, 1)"
	deleted       = "insert into lab.gone values (1, 1, '', null, false)"
	deletedThere  = "insert into lab.gone values (2, 1, '', null, false)"
	renumbered    = "insert into lab.gone values (1, 1, '', 2, true)"
	left          = "insert into lab.gone values (1, 1, '', 2, false)"
	looks         = "insert into looked values (clock_timestamp())" // and finds nothing
)

func TestAcceptancesThatMayComeToNothing(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, map[string]string{"track_commit_timestamp": "on"})
	tests := map[string]struct {
		story []string
		want  bool
	}{
		"the row is there":                     {[]string{looks}, false},
		"deleted":                              {[]string{deleted, looks}, true},
		"deleted only after it was looked for": {[]string{looks, deleted}, false},
		"renumbered, accepted still":           {[]string{renumbered, looks}, false},
		"renumbered when it was cancelled":     {[]string{left, looks}, true},
		"accepted a second time in between":    {[]string{accepted, renumbered, looks}, true},
		"accepted again under its new id":      {[]string{renumbered, acceptedThere, looks}, false},
		"renumbered, looked for and deleted":   {[]string{renumbered, looks, deletedThere}, true},
		"another one was deleted":              {[]string{deletedThere, looks}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.On(t, server)
			db.Exec(t, schema)
			db.Exec(t, "create table looked (at timestamptz)")
			db.Exec(t, accepted)
			for _, sql := range test.story {
				db.Exec(t, sql)
			}
			if got := pgtest.Value[bool](t, db, `select lab.may_be_empty(1,
				(select min(pg_xact_commit_timestamp(xid::xid)) from lab.truth), at)
				from looked`); got != test.want {
				t.Errorf("%v", got)
			}
		})
	}
}
