package outbox_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"attendee-relay/internal/capturetest"
	"attendee-relay/internal/pgtest"
	"attendee-relay/outbox"
	"attendee-relay/replication"
)

// acceptances are the cases of the contract's section 1. {1}, {2}, {3} are attendees of the case's own; given is
// committed first, and each of then is one transaction. want are the attendees announced after given.
var acceptances = []struct {
	name  string
	given string
	then  []string
	want  []string
}{
	{"inserted as accepted", "", []string{"insert into people values ({1}, 'Accepted')"}, []string{"{1}"}},
	{"inserted as something else", "", []string{"insert into people values ({1}, 'Pending')"}, nil},
	{"accepted later", "insert into people values ({1}, 'Pending')",
		[]string{"update people set status = 'Accepted' where id = {1}"}, []string{"{1}"}},
	{"accepted from NULL", "insert into people values ({1}, null)",
		[]string{"update people set status = 'Accepted' where id = {1}"}, []string{"{1}"}},
	{"another case is another value", "", []string{"insert into people values ({1}, 'accepted')"}, nil},
	{"flips that end as accepted count once", "insert into people values ({1}, 'Pending')",
		[]string{`update people set status = 'Accepted' where id = {1};
		update people set status = 'Cancelled' where id = {1};
		update people set status = 'Accepted' where id = {1}`}, []string{"{1}"}},
	{"flips that end as before count for nothing", "insert into people values ({1}, 'Accepted')",
		[]string{`update people set status = 'Cancelled' where id = {1};
		update people set status = 'Accepted' where id = {1}`}, nil},
	{"accepted and cancelled in one transaction", "",
		[]string{"insert into people values ({1}, 'Accepted'); update people set status = 'Cancelled' where id = {1}"}, nil},
	{"accepted, then cancelled in the next transaction", "", []string{"insert into people values ({1}, 'Accepted')",
		"update people set status = 'Cancelled' where id = {1}"}, []string{"{1}"}},
	{"accepted, cancelled, accepted again", "", []string{"insert into people values ({1}, 'Accepted')",
		"update people set status = 'Cancelled' where id = {1}", "update people set status = 'Accepted' where id = {1}"},
		[]string{"{1}", "{1}"}},
	{"rolled back to a savepoint", "insert into people values ({1}, 'Pending')",
		[]string{"savepoint s; update people set status = 'Accepted' where id = {1}; rollback to s"}, nil},
	{"released savepoint", "insert into people values ({1}, 'Pending')",
		[]string{"savepoint s; update people set status = 'Accepted' where id = {1}; release s"}, []string{"{1}"}},
	{"rolled back", "insert into people values ({1}, 'Pending')",
		[]string{"update people set status = 'Accepted' where id = {1}; rollback; begin"}, nil},
	{"another column of an accepted row", "insert into people values ({1}, 'Accepted')",
		[]string{"update people set note = 'x' where id = {1}", "update people set note = null where id = {1}"}, nil},
	{"an update that changes nothing", "insert into people values ({1}, 'Accepted')",
		[]string{"update people set status = status where id = {1}"}, nil},
	{"an upsert of an accepted row", "insert into people values ({1}, 'Accepted')",
		[]string{"insert into people values ({1}, 'Accepted') on conflict (id) do update set status = excluded.status"}, nil},
	{"an upsert that accepts", "insert into people values ({1}, 'Pending')",
		[]string{"insert into people values ({1}, 'Accepted') on conflict (id) do update set status = excluded.status"},
		[]string{"{1}"}},
	{"an accepted row's key changes", "insert into people values ({1}, 'Accepted')",
		[]string{"update people set id = {2} where id = {1}"}, nil},
	{"key changes and acceptance together", "insert into people values ({1}, 'Pending')",
		[]string{"update people set id = {2}, status = 'Accepted' where id = {1}"}, []string{"{2}"}},
	{"two rows exchange their keys", "insert into people values ({1}, 'Accepted'), ({2}, 'Pending')",
		[]string{`update people set id = {3} where id = {1};
		update people set id = {1} where id = {2}; update people set id = {2} where id = {3}`}, nil},
	{"two rows exchange their keys and their statuses", "insert into people values ({1}, 'Accepted'), ({2}, 'Pending')",
		[]string{`update people set id = {3} where id = {1};
		update people set id = {1}, status = 'Accepted' where id = {2}; update people set id = {2}, status = 'Pending'
			where id = {3}`}, []string{"{1}"}},
	{"the key of an accepted row is freed and taken by a new one", "insert into people values ({1}, 'Accepted')",
		[]string{"update people set id = {2} where id = {1}", "insert into people values ({1}, 'Accepted')"},
		[]string{"{1}"}},
	{"deleted and inserted again in one transaction", "insert into people values ({1}, 'Accepted')",
		[]string{"delete from people where id = {1}; insert into people values ({1}, 'Accepted')"}, nil},
	{"deleted and inserted again in two transactions", "insert into people values ({1}, 'Accepted')",
		[]string{"delete from people where id = {1}", "insert into people values ({1}, 'Accepted')"}, []string{"{1}"}},
	{"deleted while not accepted and inserted as accepted", "insert into people values ({1}, 'Pending')",
		[]string{"delete from people where id = {1}; insert into people values ({1}, 'Accepted')"}, []string{"{1}"}},
	{"deleted", "insert into people values ({1}, 'Accepted')", []string{"delete from people where id = {1}"}, nil},
	{"inserted and deleted in one transaction", "",
		[]string{"insert into people values ({1}, 'Accepted'); delete from people where id = {1}"}, nil},
	{"several rows in one transaction", "insert into people values ({1}, 'Pending'), ({2}, 'Accepted')",
		[]string{"update people set status = 'Accepted' where id in ({1}, {2}); insert into people values ({3}, 'Accepted')"},
		[]string{"{1}", "{3}"}},
}

func TestAcceptances(t *testing.T) {
	t.Parallel()
	for _, identity := range []string{"default", "full"} {
		t.Run("replica identity "+identity, func(t *testing.T) {
			t.Parallel()
			rig := peopleRig(t, "create table people (id int primary key, status text, note text); alter table people replica "+
				"identity "+identity)
			rig.Start(t)
			name := func(i int, text string) string {
				for n := range 4 {
					text = strings.ReplaceAll(text, "{"+strconv.Itoa(n)+"}", strconv.Itoa(10*i+n))
				}
				return text
			}
			for i, c := range acceptances {
				if c.given != "" {
					rig.DB.Exec(t, name(i, c.given))
				}
			}
			rig.CaughtUp(t)
			before := map[string]bool{}
			for _, id := range pgtest.Values[string](t, rig.DB, "select message_id from attendee_relay.outbox") {
				before[id] = true
			}
			for i, c := range acceptances {
				for _, transaction := range c.then {
					rig.DB.Exec(t, "begin; "+name(i, transaction)+"; commit")
				}
			}
			rig.CaughtUp(t)
			for i, c := range acceptances {
				t.Run(c.name, func(t *testing.T) {
					var want, got []string
					for _, row := range c.want {
						want = append(want, name(i, row))
					}
					for _, row := range pgtest.Values[string](t, rig.DB, `select identity || ' ' || id from (
						select identity, message_id as id, commit_lsn from attendee_relay.message union all
						select identity, '', commit_lsn from attendee_relay.acceptance) as a
						where identity::int / 10 = $1 order by commit_lsn, identity`, i) {
						identity, id, _ := strings.Cut(row, " ")
						if !before[id] {
							got = append(got, identity)
						}
					}
					if !slices.Equal(got, want) {
						t.Errorf("announced %q, want %q", got, want)
					}
				})
			}
		})
	}
}

// peopleRig watches a table people with the columns id and status.
func peopleRig(t *testing.T, ddl string) *capturetest.Rig {
	t.Helper()
	db := pgtest.New(t, pgtest.Empty())
	db.Exec(t, ddl)
	rig := capturetest.New(db)
	rig.Source.Table = "public.people"
	rig.Outbox.Query = peopleQuery
	rig.Marker = "insert into people (id, status) values (1000000000, 'marker') on conflict (id) do update set status = " +
		"'marker'"
	return rig
}

const peopleQuery = `select id as key, id as attendee_id, 'Ada' as name, 'Lovelace' as surname,
	'ada@example.org' as email,
	12.50 as price, 'EUR' as currency, 1 as event_id, 'Party' as event_name, 'https://example.org/hook' as webhook_url
	from people where id = any ($1::int[])`

// queryRig watches people with a payload query that has another expression for the price, and leads.
func queryRig(t *testing.T, ddl, price string, configure ...func(*outbox.Config)) *capturetest.Rig {
	t.Helper()
	rig := peopleRig(t, ddl)
	rig.Outbox.Query = strings.Replace(peopleQuery, "12.50", price, 1)
	for _, change := range configure {
		change(&rig.Outbox)
	}
	rig.Start(t)
	rig.AwaitLeading(t)
	return rig
}

func TestTruncateEmptiesTheSet(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		then []string
		want []string
	}{
		{"and a reload in the same transaction is no acceptance",
			[]string{"truncate people; insert into people values (1, 'Accepted'), (2, 'Accepted')"}, []string{"2"}},
		{"and a reload in the next transaction is one",
			[]string{"truncate people", "insert into people values (1, 'Accepted')"}, []string{"1"}},
		{"twice with loads between", []string{"truncate people; insert into people values (1, 'Accepted'); truncate " +
			"people; insert into people values (1, 'Accepted')"}, nil},
		{"after a change of the key",
			[]string{"update people set id = 5 where id = 1; truncate people; insert into people values (5, 'Accepted')"}, nil},
		{"rolled back", []string{"savepoint s; truncate people; rollback to s; update people set note = 'x'"}, nil},
		{"by a cascade", []string{"create table parents (id int primary key); create table p2 (id int)",
			"truncate people, parents cascade", "insert into people values (1, 'Accepted')"}, []string{"1"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rig := peopleRig(t, "create table people (id int primary key, status text, note text); insert into people values "+
				"(1, 'Accepted'), (2, 'Pending')")
			rig.Start(t)
			rig.CaughtUp(t)
			for _, transaction := range c.then {
				rig.DB.Exec(t, "begin; "+transaction+"; commit")
			}
			rig.CaughtUp(t)
			if got := rig.Announced(t, "%1$s"); !slices.Equal(got, c.want) {
				t.Errorf("announced %q, want %q", got, c.want)
			}
		})
	}
}

// A row that was deleted by itself before the TRUNCATE is known to have existed: inserted again, it is that row, and
// not a move of another one with the same SOURCE_KEY that the TRUNCATE removed.
func TestARowDeletedBeforeATruncateIsItself(t *testing.T) {
	t.Parallel()
	rig := peopleRig(t, "create table people (id int primary key, status text, code text); insert into people values "+
		"(1, 'Accepted', 'a'), (2, 'Pending', 'b')")
	rig.Source.Key = "code"
	rig.Outbox.Query = strings.ReplaceAll(strings.ReplaceAll(peopleQuery, "id as key", "code as key"),
		"where id = any ($1::int[])", "where code = any ($1::text[])")
	rig.Start(t)
	rig.CaughtUp(t)
	rig.DB.Exec(t, "begin; delete from people where id = 2; truncate people; insert into people values (2, 'Accepted', "+
		"'a'); commit")
	rig.CaughtUp(t)
	if got, want := rig.Announced(t, "%1$s"), []string{"2"}; !slices.Equal(got, want) {
		t.Errorf("announced %q, want %q", got, want)
	}
}

// An UPDATE does not carry a SOURCE_KEY that is stored apart from its row and did not change.
func TestKeyStoredApartFromItsRow(t *testing.T) {
	t.Parallel()
	for _, large := range []bool{false, true} {
		name := "in memory"
		if large {
			name = "by way of the spool"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig := peopleRig(t, `create table people (id int primary key, code text, status text);
				alter table people alter code set storage external;
				insert into people select i, repeat('code ' || i, 1000), 'Pending' from generate_series(1, 3) as i;
					insert into people values (4, null, 'Pending')`)
			rig.Source.Key = "code"
			rig.Outbox.Query = strings.ReplaceAll(strings.ReplaceAll(peopleQuery, "id as key", "code as key"),
				"where id = any ($1::int[])", "where code = any ($1::text[])")
			if large {
				rig.Capture = smallParts
			}
			rig.Start(t)
			rig.CaughtUp(t)
			rig.DB.Exec(t, "update people set status = 'Accepted'")
			rig.CaughtUp(t)
			pgtest.WaitUntil(t, capturetest.Patience, "three messages are there", func() (bool, string) {
				got := pgtest.Values[string](t, rig.DB, "select attendee_id from attendee_relay.outbox order by 1")
				return slices.Equal(got, []string{"1", "2", "3"}), strings.Join(got, " ")
			})
		})
	}
}

// smallParts sends every transaction of a few changes through the spool.
func smallParts(c *replication.Capture) { c.PartSize = 2 }

func smallSpoolSteps(r *outbox.Recorder) { r.SetSpoolBatch(200) }
