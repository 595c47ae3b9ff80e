package replication_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"attendee-relay/internal/capturetest"
	"attendee-relay/internal/fault"
	"attendee-relay/replication"
)

// labelled are types of a status that are made of the enum state, and how they write a label.
var labelled = []struct{ column, format string }{
	{"state", "%s"}, {"one", "%s"}, {"two", "%s"}, {"state[]", "{%s}"}, {"one[]", "{new,%s}"}, {"list", "{%s}"},
	{"state[]", "[0:1]={NULL,%s}"}, {"state[]", "{{new,%s},{new,new}}"},
	{"pair", "(%s,\"a \"\"b\"\"\")"}, {"pair", "(%s,)"}, {"wrap", "(1,\"(%s,x)\")"}, {"pairs", "(%s,x)"},
	{"pair[]", "{\"(%s,x)\",NULL}"}, {"lists", "(\"{new,%s}\")"}, {"span", "[new,%s]"}, {"span", "(,%s)"},
	{"span_multirange", "{[new,new],[%s,%s]}"},
}

// labelRig watches a table whose status is made of the enum state, and accepts people 1 and 2.
func labelRig(t *testing.T, column, format string) (rig *capturetest.Rig, value func(label string) string) {
	t.Helper()
	value = func(label string) string { return "'" + strings.ReplaceAll(format, "%s", label) + "'" }
	rig = watched(t, `create type state as enum ('new', 'Accepted'); create domain one as state;
		create domain two as one not null;
		create domain list as one[]; create type pair as (what state, why text); create domain pairs as pair;
		create type wrap as (n int, what pair); create type lists as (what one[]);
			create type span as range (subtype = state);
		create table people (id int primary key, status `+column+`, note text)`)
	rig.Source.Accepted = []string{strings.Trim(value("Accepted"), "'")}
	rig.Marker = "insert into people (id, status) values (1000000000, " + value("new") +
		") on conflict (id) do update set status = excluded.status"
	rig.Start(t)
	rig.AwaitLeading(t)
	rig.DB.Exec(t, "insert into people values (1, "+value("Accepted")+"), (2, "+value("Accepted")+")")
	rig.Settled(t)
	return rig, value
}

// eachLabelled runs a test for each kind of status, each in a database of its own.
func eachLabelled(t *testing.T, test func(t *testing.T, rig *capturetest.Rig, value func(label string) string)) {
	t.Parallel()
	for _, c := range labelled {
		t.Run(c.column+" "+c.format, func(t *testing.T) {
			t.Parallel()
			rig, value := labelRig(t, c.column, c.format)
			test(t, rig, value)
		})
	}
}

// A label that is renamed and renamed back behaves the same wherever in the status's type it is: a comparison, which
// leaves a gap, finds the rows that were accepted under the other name.
func TestLabelRenamedAndBack(t *testing.T) {
	eachLabelled(t, func(t *testing.T, rig *capturetest.Rig, value func(label string) string) {
		rig.DB.Exec(t, "alter type state rename value 'Accepted' to 'Approved'")
		rig.DB.Exec(t, "insert into people values (3, "+value("Approved")+"), (4, "+value("Approved")+")")
		awaitAnyFault(t, rig, []fault.Code{fault.SourceDrift, fault.SourceMissing})
		rig.DB.Exec(t, "alter type state rename value 'Approved' to 'Accepted'")
		rig.Settled(t)
		rig.DB.Exec(t, "insert into people values (5, "+value("Accepted")+")")
		rig.Settled(t)
		checkLabels(t, rig, "source_drift +2 -0", "1", "2", "3", "4", "5")
	})
}

// The same while no relay looks: it was renamed, people were accepted, and it was renamed back.
func TestLabelRenamedAndBackUnseen(t *testing.T) {
	eachLabelled(t, func(t *testing.T, rig *capturetest.Rig, value func(label string) string) {
		rig.Capture = func(c *replication.Capture) { c.WatchEvery = time.Hour }
		rig.Stop(t)
		rig.DB.Exec(t, "alter type state rename value 'Accepted' to 'Approved'")
		rig.DB.Exec(t, "insert into people values (3, "+value("Approved")+"), (4, "+value("Approved")+")")
		rig.DB.Exec(t, "alter type state rename value 'Approved' to 'Accepted'")
		rig.Start(t)
		rig.Settled(t)
		checkLabels(t, rig, "source_drift +2 -0", "1", "2", "3", "4")
	})
}

// Two labels that exchange their names are other values under the same names, and a label that is added is none.
func TestLabelsExchangedOrAdded(t *testing.T) {
	eachLabelled(t, func(t *testing.T, rig *capturetest.Rig, value func(label string) string) {
		rig.DB.Exec(t, "alter type state add value 'VIP'")
		rig.DB.Exec(t, "insert into people values (3, "+value("VIP")+"), (4, "+value("Accepted")+")")
		rig.Settled(t)
		checkLabels(t, rig, "", "1", "2", "4")
		rig.Stop(t)
		for _, rename := range []string{"'Accepted' to 'other'", "'VIP' to 'Accepted'", "'other' to 'VIP'"} {
			rig.DB.Exec(t, "alter type state rename value "+rename)
		}
		rig.Start(t)
		rig.AwaitFault(t, fault.SourceDrift)
	})
}

func checkLabels(t *testing.T, rig *capturetest.Rig, gap string, want ...string) {
	t.Helper()
	if got := slices.Sorted(slices.Values(rig.Keys(t))); !slices.Equal(got, want) {
		t.Errorf("announced %q, want %q once each", got, want)
	}
	if got := strings.Join(gaps(t, rig), ", "); got != gap {
		t.Errorf("the gaps are %q, want %q", got, gap)
	}
}
