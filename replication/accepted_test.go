package replication_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/pgtest"
	"attendee-relay/replication"
)

// statusTypes are types of a status column, with accepted values that they keep unchanged, and others that they
// shorten, round or refuse.
var statusTypes = []struct {
	column         string
	whole, refused []string
}{
	{"text", []string{"Accepted", "Accepted ", "a'b\\c", "%s"}, nil},
	{"varchar", []string{"Accepted"}, nil},
	{"varchar(8)", []string{"Accepted", "ok"}, []string{"Accepted_by_staff", "Accepted "}},
	{"char(1)", []string{"A", "A  "}, []string{"Accepted", "Ab"}},
	{"char(10)", []string{"Accepted", "A"}, []string{"Accepted_by_staff"}},
	{"bpchar", []string{"Accepted", "Accepted  "}, nil},
	{`"char"`, []string{"A"}, []string{"Accepted"}},
	{"name", []string{"Accepted"}, []string{strings.Repeat("Accepted", 8)}},
	{"citext_like", []string{"Accepted", "ACCEPTED"}, []string{"Accepted_by_staff"}},
	{"nested_like", []string{"Accepted"}, []string{"Accepted_by_staff"}},
	{"checked_like", []string{"Accepted"}, []string{"Rejected"}},
	{"padded_like", []string{"A"}, []string{"Accepted_by_staff"}},
	{"numeric", []string{"1", "1.0", "1e2"}, []string{"one"}},
	{"numeric(3,1)", []string{"1", "1.0", "1.50"}, []string{"1.25", "100"}},
	{"numeric_like", []string{"2"}, []string{"1.5"}},
	{"integer", []string{"1", " 1", "+1"}, []string{"1.5", "99999999999", ""}},
	{"real", []string{"1.5", "NaN"}, []string{"1.23456789"}},
	{"double precision", []string{"1.5", "1e300"}, []string{"0.12345678901234567891"}},
	{"boolean", []string{"true", "t", "yes", "on", "1"}, []string{"Accepted"}},
	{"bit(3)", []string{"101"}, []string{"1", "10101"}},
	{"bit varying(3)", []string{"101", "1"}, []string{"10101"}},
	{"bit", []string{"1"}, []string{"10"}},
	{"timestamp(0)", []string{"2026-01-02 03:04:05", "2026-01-02"}, []string{"2026-01-02 03:04:05.7"}},
	{"timestamptz", []string{"2026-01-02 03:04:05.123456+02"}, []string{"2026-01-02 03:04:05.1234567"}},
	{"time(1)", []string{"10:00:00.5"}, []string{"10:00:00.55"}},
	{"interval day", []string{"1 day"}, []string{"1 day 03:00:00"}},
	{"interval second(0)", []string{"1 second"}, []string{"1.5 seconds"}},
	{"date", []string{"2026-01-02"}, []string{"2026-02-30"}},
	{"uuid", []string{"00000000-0000-0000-0000-00000000000A"}, []string{"1"}},
	{"state", []string{"Accepted", "b c"}, []string{"accepted", "Accepte", "Accepted "}},
	{"state_like", []string{"Accepted"}, []string{"accepted"}},
	{"state_like_like", []string{"Accepted"}, []string{"accepted"}},
	{"varchar(8)[]", []string{"{Accepted}", "{a,b}"}, []string{"{Accepted_by_staff}"}},
	{"char(2)[]", []string{"{A}"}, []string{"{Accepted}"}},
	{"numeric(3,1)[]", []string{"{1}"}, []string{"{1.25}"}},
	{"name[]", []string{"{Accepted,b}"}, []string{"{" + strings.Repeat("Accepted", 8) + "}"}},
	{"state_like[]", []string{"{Accepted,NULL}"}, []string{"{accepted}"}},
	{"jsonb", []string{`{"a": 1}`}, []string{"Accepted"}},
}

// An accepted value must be one that a row can hold unchanged, and is then found in the stream and by SQL. Any other
// value is refused by name, with the type that it does not fit.
func TestAcceptedValuesSurviveTheirType(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, pgtest.Empty())
	db.Exec(t, `create domain citext_like as varchar(8); create domain nested_like as citext_like;
		create domain checked_like as text check (value <> 'Rejected');
		create domain padded_like as char(10); create domain numeric_like as numeric(4,0); create type state as enum ('new',
			'Accepted', 'b c');
		create domain state_like as state; create domain state_like_like as state_like not null`)
	for i, c := range statusTypes {
		db.Exec(t, fmt.Sprintf("create table t%d (id int primary key, status %s)", i, c.column))
	}
	conn, err := pgx.Connect(t.Context(), db.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	for i, c := range statusTypes {
		config := replication.Config{Table: fmt.Sprintf("public.t%d", i), Key: "id", Status: "status"}
		for _, value := range c.whole {
			config.Accepted = []string{value}
			source, err := replication.ReadSource(t.Context(), conn, config)
			if err != nil {
				t.Errorf("%s: %q is refused: %v", c.column, value, err)
				continue
			}
			db.Exec(t, fmt.Sprintf("insert into t%d values (1, $1::text::%s) on conflict (id) do update set status = "+
				"excluded.status", i, c.column), value)
			if n := pgtest.Value[int](t, db, "select count(*) from "+source.From()+" where "+source.AcceptedSQL("$1"),
				source.Accepted); n != 1 {
				t.Errorf("%s: the row with %q is not found as %q", c.column, value, source.Accepted)
			}
		}
		for _, value := range c.refused {
			config.Accepted = []string{value}
			_, err := replication.ReadSource(t.Context(), conn, config)
			var f *fault.Fault
			if !errors.As(err, &f) || f.Code != fault.SourceMissing || !strings.Contains(f.Message, fmt.Sprintf("%q", value)) ||
				!strings.Contains(f.Message, "type ") {
				t.Errorf("%s: %q is not refused by name: %v", c.column, value, err)
			}
		}
	}
}

// What is streamed of a status of any type is what the accepted values are compared with.
func TestStatusTypesInTheStream(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ column, accepted string }{
		{"char(10)", "Accepted"}, {"numeric(5,2)", "1"}, {"boolean", "yes"}, {"state", "Accepted"},
		{"state_like", "Accepted"}, {"state[]", "{Accepted}"},
		{"bit(3)", "101"}, {"timestamp(0)", "2026-01-02"}, {"varchar(8)", "Accepted"}, {"interval", "24 hours"},
	} {
		t.Run(c.column, func(t *testing.T) {
			t.Parallel()
			rig := newRig(t, pgtest.New(t, pgtest.Empty()), `create type state as enum ('new', 'Accepted');
				create domain state_like as state;
				create table people (id int primary key, status `+c.column+`, note text)`)
			rig.Marker = "insert into people values (1000000000, null, 'x') on conflict (id) do update set note = 'x' || " +
				"people.note"
			rig.Source.Accepted = []string{c.accepted}
			rig.DB.Exec(t, "insert into people values (1, $1::text::"+c.column+")", c.accepted)
			rig.Start(t)
			rig.AwaitLeading(t)
			rig.DB.Exec(t, "insert into people values (2, $1::text::"+c.column+"), (3, null)", c.accepted)
			rig.Settled(t)
			if got := rig.Keys(t); !slices.Equal(got, []string{"2"}) {
				t.Errorf("announced %q", got)
			}
			if got := rig.Ledger(t); !slices.Equal(got, []string{"1", "2"}) {
				t.Errorf("the ledger has %q", got)
			}
		})
	}
}
