package outbox_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"attendee-relay/internal/capturetest"
	"attendee-relay/internal/pgtest"
	"attendee-relay/outbox"
	"attendee-relay/replication"
)

const codedTable = "create table people (id int primary key, code text, status text, note text)"

// codedRig watches a table people whose SOURCE_KEY, code, is not its identity. No payload is ready, so acceptances
// wait.
func codedRig(t *testing.T, ddl string) *capturetest.Rig {
	t.Helper()
	rig := peopleRig(t, ddl)
	rig.Source.Key = "code"
	rig.Outbox.Query = strings.ReplaceAll(peopleQuery, "id as key", "code as key") + " and false"
	rig.Outbox.Query = strings.ReplaceAll(rig.Outbox.Query, "where id = any ($1::int[])", "where code = any ($1::text[])")
	return rig
}

// waiting are the acceptances without a message, as "identity>row=key": the identity that was accepted, and where its
// row is now.
func waiting(t *testing.T, rig *capturetest.Rig) []string {
	t.Helper()
	return pgtest.Values[string](t, rig.DB, `select format('%s>%s=%s', identity, row_identity, source_key)
		from attendee_relay.acceptance where state = 'waiting' order by identity::int`)
}

// A waiting acceptance goes where its row goes, in one transaction of any size.
func TestWaitingAcceptancesFollowTheirRows(t *testing.T) {
	t.Parallel()
	// Rows 1, 2 and 3 with the keys a, b and c wait.
	cases := []struct{ name, then, want string }{
		{"a row's identity changes", "update people set id = 5 where id = 1", "1>5=a 2>2=b 3>3=c"},
		{"a row's key changes", "update people set code = 'x' where id = 1", "1>1=x 2>2=b 3>3=c"},
		{"two rows exchange their identities",
			"update people set id = 9 where id = 1; update people set id = 1 where id = 2; update people set id = 2 where id " +
				"= 9", "1>2=a 2>1=b 3>3=c"},
		{"each row takes the next one's identity",
			"update people set id = id + 1 where id = 3; update people set id = id + 1 where id = 2; update people set id = " +
				"id + 1 where id = 1", "1>2=a 2>3=b 3>4=c"},
		{"a deleted row's key is inserted again",
			"delete from people where id = 1; insert into people values (5, 'a', 'Accepted')", "1>5=a 2>2=b 3>3=c"},
		{"and another row has its identity",
			"delete from people where id = 1; update people set id = 1 where id = 2; insert into people values (5, 'a', " +
				"'Accepted')", "1>5=a 2>1=b 3>3=c"},
		{"and another row has its identity and key",
			"delete from people where id = 1; update people set id = 1, code = 'a' where id = 2; insert into people values " +
				"(5, 'a', 'Accepted')", "1>5=a 2>1=a 3>3=c"},
		{"under the identity that another row had",
			"delete from people where id = 1; update people set id = 5 where id = 2; insert into people values (2, 'a', " +
				"'Accepted')", "1>2=a 2>5=b 3>3=c"},
		{"and it was deleted under another identity",
			"update people set id = 5 where id = 1; delete from people where id = 5; update people set id = 5 where id = 2; " +
				"insert into people values (1, 'a', 'Accepted')", "1>1=a 2>5=b 3>3=c"},
		{"rows of one key come and go by turns",
			"update people set note = 'x' where id = 1; update people set code = 'a' where id = 2; insert into people values " +
				"(5, 'a', 'Pending'); delete from people where id = 5; delete from people where id = 1; " +
				"insert into people values " +
				"(6, 'a', 'Accepted'); delete from people where id = 2; insert into people values (5, 'a', 'Accepted')",
			"1>6=a 2>5=a 3>3=c"},
		{"two are deleted under one identity",
			"delete from people where id = 1; update people set id = 1 where id = 2; delete from people where id = 1; insert " +
				"into people values (5, 'a', 'Accepted'), (6, 'b', 'Accepted'); update people set id = 1 where id = 3",
			"1>5=a 2>6=b 3>1=c"},
		{"the table is emptied and loaded under other identities",
			"truncate people; insert into people values (3, 'a', 'Accepted'), (5, 'b', 'Accepted'), (1, 'c', 'Accepted')",
			"1>1=c 3>3=a 2>5=b"},
		{"rows exchange their identities, and the table is emptied and loaded",
			"update people set id = 9 where id = 1; update people set id = 1 where id = 2; update people set id = 2 where id " +
				"= 9; truncate people; insert into people values (5, 'a', 'Accepted'), (6, 'b', 'Accepted'), (7, 'c', 'Accepted')",
			"1>5=a 2>6=b 3>7=c"},
	}
	for _, partSize := range []int{replication.PartSize, 2} {
		if partSize == replication.PartSize && testing.Short() {
			continue // as with the random transactions
		}
		for _, c := range cases {
			name := c.name
			if partSize != replication.PartSize {
				name += ", by way of the spool"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				rig := codedRig(t, codedTable)
				rig.Capture = func(c *replication.Capture) { c.PartSize = partSize }
				rig.Recorder = func(r *outbox.Recorder) { r.SetSpoolBatch(1) }
				rig.Start(t)
				rig.CaughtUp(t)
				rig.DB.Exec(t, "insert into people values (1, 'a', 'Accepted'); insert into people values (2, 'b', 'Accepted'); "+
					"insert into people values (3, 'c', 'Accepted')")
				rig.CaughtUp(t)
				rig.DB.Exec(t, "begin; "+c.then+"; commit")
				rig.CaughtUp(t)
				got, want := waiting(t, rig), strings.Fields(c.want)
				slices.Sort(want)
				if !slices.Equal(got, want) {
					t.Errorf("waiting %q, want %q", got, want)
				}
				if all := rig.Announced(t, "%1$s"); len(all) != 3 {
					t.Errorf("accepted %q, want three", all)
				}
			})
		}
	}
}

// Of several rows deleted under one identity, an insertion brings back the one deleted last, even if the spool holds
// them in another order.
func TestInsertionBringsBackTheRowDeletedLast(t *testing.T) {
	t.Parallel()
	// Row 1 is accepted, row 2 is not; what comes back under identity 1 is row 2, so it is accepted now.
	cases := []struct{ name, then string }{
		{"the one touched first is deleted last",
			"update people set note = 'x' where id = 2; delete from people where id = 1; update people set id = 1 where id = " +
				"2; delete from people where id = 1"},
		{"by a TRUNCATE", "update people set note = 'x' where id = 2; delete from people where id = 1; update people set " +
			"id = 1 where id = 2; truncate people"},
		{"by a second TRUNCATE", "update people set note = 'x' where id = 2; update people set note = 'x' where id = 1; " +
			"truncate people; insert into people values (2, 'b', 'Pending'); update people set id = 1 where id = 2; truncate " +
			"people"},
		{"between two", "update people set note = 'x' where id = 2; update people set note = 'x' where id = 1; truncate " +
			"people; insert into people values (2, 'b', 'Pending'); update people set id = 1 where id = 2; delete from people " +
			"where id = 1; insert into people values (7, 'y', 'Pending'), (8, 'z', 'Pending'); truncate people"},
	}
	for _, partSize := range []int{replication.PartSize, 2} {
		if partSize == replication.PartSize && testing.Short() {
			continue // as with the random transactions
		}
		for _, c := range cases {
			t.Run(fmt.Sprintf("%s, in parts of %d", c.name, partSize), func(t *testing.T) {
				t.Parallel()
				rig := codedRig(t, codedTable+"; insert into people values (1, 'a', 'Accepted'), (2, 'b', 'Pending')")
				rig.Capture = func(c *replication.Capture) { c.PartSize = partSize }
				rig.Start(t)
				rig.CaughtUp(t)
				rig.DB.Exec(t, "begin; "+c.then+"; insert into people values (3, 'x', 'Pending'), (4, 'x', 'Pending'); insert "+
					"into people values (1, 'c', 'Accepted'); commit")
				rig.CaughtUp(t)
				if got, want := waiting(t, rig), []string{"1>1=c"}; !slices.Equal(got, want) {
					t.Errorf("waiting %q, want %q", got, want)
				}
			})
		}
	}
}

// Rows 1 to 1000 are accepted and wait. Then those of the first half go through identities of the second half, are
// deleted and come back by their keys; those of the second half take the first half's identities.
const (
	thousand = "insert into people select i, 'code ' || i, 'Accepted' from generate_series(1, 1000) as i"
	moved    = `begin;
		insert into people select i, 'filling', 'Pending' from generate_series(5001, 6000) as i;
		update people set id = id + 500 where id between 501 and 1000;
		update people set id = id + 500 where id between 1 and 500;
		delete from people where id between 501 and 1000;
		update people set id = id - 1000 where id between 1001 and 1500;
		insert into people select i + 2000, 'code ' || i, 'Accepted' from generate_series(1, 500) as i;
		commit`
	reloaded = `begin;
		update people set id = id + 500 where id between 501 and 1000;
		update people set id = id + 500 where id between 1 and 500;
		insert into people select i, 'filling', 'Accepted' from generate_series(5001, 6000) as i;
		truncate people;
		insert into people select i + 2000, 'code ' || i, 'Accepted' from generate_series(1, 500) as i;
		insert into people select i - 500, 'code ' || i, 'Accepted' from generate_series(501, 1000) as i;
		commit`
)

// haveMoved says that every acceptance is with its row, after moved or reloaded.
func haveMoved(t *testing.T, rig *capturetest.Rig) {
	t.Helper()
	wrong := pgtest.Values[string](t, rig.DB, `select format('%s>%s=%s', identity, row_identity, source_key)
		from attendee_relay.acceptance
		where state <> 'waiting' or source_key <> 'code ' || identity
		   or row_identity::int <> identity::int + case when identity::int <= 500 then 2000 else -500 end`)
	if len(wrong) > 0 {
		t.Errorf("%d acceptances are elsewhere: %q", len(wrong), wrong[:min(5, len(wrong))])
	}
	eachOnce(t, rig, 1000)
	if n := len(rig.Ledger(t)); n != 1000 {
		t.Errorf("%d rows in the ledger, want 1000", n)
	}
}

// No statement changes more rows than a part has changes or a step has rows, however large the transaction is.
func TestLargeTransactionsAreRecordedInBoundedSteps(t *testing.T) {
	t.Parallel()
	for name, transaction := range map[string]string{"moved": moved, "emptied and loaded": reloaded} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig := codedRig(t, codedTable)
			rig.Capture = func(c *replication.Capture) { c.PartSize = 100 }
			rig.Outbox.Settle = time.Hour // what the Resolver has evaluated is not counted
			rig.Recorder = func(r *outbox.Recorder) { r.SetSpoolBatch(100) }
			rig.Start(t)
			rig.CaughtUp(t)
			rig.DB.Exec(t, thousand)
			rig.CaughtUp(t)
			rig.DB.Exec(t, `create table changed (name text, rows int); grant insert on changed to attendee_relay;
				create function count_changed() returns trigger language plpgsql set search_path = public as $$
				begin insert into changed select tg_table_name, count(*) from images as i
					where coalesce(to_jsonb(i)->>'evaluations', '0') = '0'; return null; end $$`)
			for _, table := range []string{"acceptance", "spool", "ledger"} {
				rig.DB.Exec(t, fmt.Sprintf(`create trigger updated after update on attendee_relay.%[1]s
					referencing new table as images for each statement execute function count_changed();
					create trigger deleted after delete on attendee_relay.%[1]s
					referencing old table as images for each statement execute function count_changed()`, table))
			}
			rig.DB.Exec(t, transaction)
			rig.CaughtUp(t)
			haveMoved(t, rig)
			got := pgtest.Values[string](t, rig.DB, "select name || ' ' || rows from changed where rows > 100")
			if len(got) > 0 {
				t.Errorf("one statement changed %q rows", got)
			}
		})
	}
}

// What a crash interrupts is taken up where it was: nothing is done twice, nothing is left out.
func TestCrashesWhileALargeTransactionIsApplied(t *testing.T) {
	t.Parallel()
	for name, transaction := range map[string]string{"moved": moved, "emptied and loaded": reloaded} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig := codedRig(t, codedTable)
			rig.Capture = func(c *replication.Capture) { c.PartSize = 500 }
			rig.Recorder = func(r *outbox.Recorder) { r.SetSpoolBatch(400) }
			rig.Start(t)
			rig.CaughtUp(t)
			rig.DB.Exec(t, thousand)
			rig.CaughtUp(t)
			// The session ends in every other transaction that begins a step or follows.
			rig.DB.Exec(t, `create table steps (name text, cursor bigint);
				create sequence transactions; grant usage on sequence transactions to attendee_relay;
					grant insert on steps to attendee_relay;
				create function crash() returns trigger language plpgsql set search_path = public as $$
				begin
					if nextval('transactions') % 3 = 1 then perform pg_terminate_backend(pg_backend_pid()); end if;
					insert into steps values (new.spool_step, new.spool_cursor);
					return null;
				end $$;
				create trigger crash after update on attendee_relay.checkpoint for each row
				when (old.spool_step is distinct from new.spool_step or old.spool_cursor <> new.spool_cursor
					and new.spool_step = 'follow')
				execute function crash()`)
			rig.DB.Exec(t, transaction)
			rig.CaughtUp(t)
			haveMoved(t, rig)
			n := pgtest.Value[int](t, rig.DB, "select (last_value - (select count(*) from steps))::int from transactions")
			if n < 4 {
				t.Errorf("%d crashes in the steps %q", n,
					pgtest.Values[string](t, rig.DB, "select name || ' ' || cursor from steps"))
			}
		})
	}
}
