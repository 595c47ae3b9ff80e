package replication_test

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"attendee-relay/internal/capturetest"
	"attendee-relay/internal/fault"
	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/postgres"
	"attendee-relay/internal/secret"
	"attendee-relay/replication"
)

// values is what a look at the accepted values says, with these limits.
func values(t *testing.T, rig *capturetest.Rig, seen, counted time.Duration) fault.Finding {
	t.Helper()
	conn, err := postgres.Direct(t.Context(), secret.New(rig.DB.URL()), "attendee-relay/test check")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	source, err := replication.ReadSource(t.Context(), conn, rig.Source)
	if err != nil {
		t.Fatal(err)
	}
	found, err := replication.InspectValuesWithin(t.Context(), conn, rig.Source, source, seen, counted)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestAcceptedValuesThatNoRowHas(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, ddl, fill, accepted string
		// want is the message; "": it passes.
		want string
	}{
		{"no rows", "status text", "select", "Accepted", ""},
		{"seen", "status text", "insert into people values (1, 'Accepted'), (2, 'Pending')", "Accepted", ""},
		{"misspelt", "status text", "insert into people select i, case when i % 10 = 0 then 'CANCELLED' else 'ACTIVE' end " +
			"from generate_series(1, 5000) i",
			"Accepted", "status has ACTIVE 4500, CANCELLED 500; none is Accepted (SOURCE_ACCEPTED)"},
		{"one of two", "status text", "insert into people values (1, 'Accepted')", "Accepted,VIP",
			"status has Accepted 1; none is VIP (SOURCE_ACCEPTED)"},
		{"both", "status text", "insert into people values (1, 'accepted'), (2, null)", "Accepted,VIP",
			"status has accepted 1, NULL 1; none is Accepted or VIP (SOURCE_ACCEPTED)"},
		{"another case and blanks", "status text", "insert into people values (1, ' Accepted'), (2, e'a\\nb')", "Accepted",
			`status has " Accepted" 1, "a\nb" 1; none is Accepted (SOURCE_ACCEPTED)`},
		{"an enum", "status mood", "insert into people values (1, 'Pending')", "Accepted",
			"status has Pending 1; none is Accepted (SOURCE_ACCEPTED)"},
		{"a bool", "status boolean", "insert into people values (1, false)", "true",
			"status has f 1; none is true (SOURCE_ACCEPTED)"},
		{"a bool that is seen", "status boolean", "insert into people values (1, true)", "true", ""},
		{"a number", "status int", "insert into people values (1, 10), (2, 10)", "2",
			"status has 10 2; none is 2 (SOURCE_ACCEPTED)"},
		{"char(n)", "status char(12)", "insert into people values (1, 'Accepted')", "Accepted", ""},
		{"many values", "status text", "insert into people select i, 'S' || i % 30 from generate_series(1, 300) i",
			"Accepted", "and 20 other values; none is Accepted (SOURCE_ACCEPTED)"},
		{"a child's rows", "status text",
			"create table heirs () inherits (people); insert into heirs values (1, 'Accepted'); insert into people values (2, " +
				"'x')", "Accepted",
			"status has x 1; none is Accepted (SOURCE_ACCEPTED)"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rig := capturetest.New(pgtest.New(t, pgtest.Empty()))
			rig.DB.Exec(t, "create type mood as enum ('Accepted', 'Pending'); create table people (id int, "+c.ddl+"); alter "+
				"table people add primary key (id);"+c.fill)
			rig.Source.Table, rig.Source.Accepted = "public.people", strings.Split(c.accepted, ",")
			found := values(t, rig, time.Minute, time.Minute)
			if c.want == "" && found.Level != fault.OK || c.want != "" &&
				(found.Level != fault.Warn || !strings.HasSuffix(found.Message, c.want) || found.Fix == "") {
				t.Errorf("%+v, want %q", found, c.want)
			}
			if found.Code != fault.AcceptedUnseen {
				t.Errorf("the code is %s", found.Code)
			}
		})
	}
}

// Where counting takes too long the planner's counts are shown, and a value that is known to be frequent is not
// warned of.
func TestAcceptedValuesOfALargeTable(t *testing.T) {
	t.Parallel()
	rig := capturetest.New(pgtest.New(t, pgtest.Empty()))
	rig.DB.Exec(t, `create table people (id int primary key, status text);
		insert into people select i, case when i % 10 = 0 then 'CANCELLED' else 'ACTIVE' end from generate_series(1,
			200000) i;
		create table parts (id int primary key, status text) partition by range (id);
		create table part partition of parts default;
		insert into parts select * from people`)
	for _, table := range []string{"public.people", "public.parts"} {
		rig.Source.Table, rig.Source.Accepted = table, []string{"Accepted"}
		look := func() fault.Finding { return values(t, rig, 2*time.Millisecond, 2*time.Millisecond) }
		if found := look(); found.Level != fault.Warn || !strings.Contains(found.Message, "not known") ||
			!strings.Contains(found.Message, "none is Accepted") {
			t.Errorf("%s, never analysed: %+v", table, found)
		}
		rig.DB.Exec(t, "analyze "+table)
		if found := look(); found.Level != fault.Warn || !estimated.MatchString(found.Message) {
			t.Errorf("%s, analysed: %+v", table, found)
		}
		rig.Source.Accepted = []string{"CANCELLED", "ACTIVE"}
		if found := look(); found.Level != fault.OK {
			t.Errorf("%s, values that are there: %+v", table, found)
		}
	}
}

var estimated = regexp.MustCompile(
	`^status has ACTIVE (17|18)\d{4}, CANCELLED [12]\d{4} \(the planner's estimate\); ` +
		`none is Accepted \(SOURCE_ACCEPTED\)$`)
