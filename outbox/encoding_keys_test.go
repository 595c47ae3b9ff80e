package outbox_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"attendee-relay/internal/capturetest"
	"attendee-relay/internal/pgtest"
	"attendee-relay/replication"
)

// A row is identified and announced although its identity has no UTF-8, as long as its key and its payload have.
func TestIdentityWithoutUTF8(t *testing.T) {
	t.Parallel()
	for _, encoding := range []string{"SQL_ASCII", "WIN1252", "EUC_KR"} {
		t.Run(encoding, func(t *testing.T) {
			t.Parallel()
			e := newEncoded(t, encoding, "id")
			e.put(t, "61"+e.odd, 1, true, e.native, "")
			e.Start(t)
			e.AwaitLeading(t)
			e.put(t, "61"+e.odd, 1, true, e.native, e.odd)
			e.put(t, "62"+e.odd, 2, true, e.native, "")
			e.put(t, "63"+e.odd, 3, false, e.native, "")
			e.put(t, "63"+e.odd, 3, true, e.native, "")
			e.Settled(t)
			got := e.inHex(t, "identity || ' ' || source_key", "attendee_relay.message")
			if !slices.Equal(got, []string{"62" + e.odd + "2032", "63" + e.odd + "2033"}) {
				t.Errorf("messages of %q", got)
			}
			e.checkBooks(t)
		})
	}
}

// In EUC_JP two characters are one in Unicode: a row whose key has the other one is not taken for somebody else.
func TestKeyThatIsAnotherInUnicode(t *testing.T) {
	t.Parallel()
	e := newEncoded(t, "EUC_JP", "code")
	const twice = `select encode(c, 'hex') from (select set_byte(set_byte('\x0000', 0, n), 1, m) as c
		from generate_series(161, 254) n, generate_series(161, 254) m) c
		where utf8_of(c) is not null and convert(decode(utf8_of(c), 'hex'), 'UTF8', 'EUC_JP') <> c limit 1`
	other := pgtest.Value[string](t, e.DB, twice)
	e.Start(t)
	e.AwaitLeading(t)
	first := pgtest.Value[string](t, e.DB,
		"select encode(convert(decode(utf8_of(decode($1, 'hex')), 'hex'), 'UTF8', 'EUC_JP'), 'hex')", other)
	e.put(t, first, 1, true, e.native, "")
	e.put(t, other, 2, true, e.native, "")
	pgtest.WaitUntil(t, capturetest.Patience, "the one is announced and the other waits with its error",
		func() (bool, string) {
			waiting := pgtest.Values[string](t, e.DB,
				"select last_error from attendee_relay.acceptance where last_error is not null")
			announced := pgtest.Values[string](t, e.DB, "select attendee_id from attendee_relay.message")
			return slices.Equal(announced, []string{"1"}) && len(waiting) == 1 && strings.Contains(waiting[0], "Unicode"),
				fmt.Sprint(announced, waiting)
		})
}

// Values that the stream leaves out or does not carry are read by SQL, and must be the same bytes: a key in a TOAST
// table that the statement did not change, and a partition that is attached with accepted rows.
func TestReadBySQLInOtherEncodings(t *testing.T) {
	t.Parallel()
	for _, encoding := range []string{"SQL_ASCII", "LATIN2", "EUC_TW"} {
		t.Run(encoding, func(t *testing.T) {
			t.Parallel()
			e := newEncoded(t, encoding, "code")
			table := fmt.Sprintf("create table %%s (identity text primary key, code text, %%s text, id int, name text) " +
				"partition by list (identity)")
			e.DB.Exec(t, fmt.Sprintf(`do $$ begin drop view own_rows; execute format('drop publication %%I', '%[3]s');
				execute format('drop table %%I', own('%[1]s'));
				execute format(%[2]s, own('%[1]s'), own('73%[1]s')); execute format('create table rest partition of %%I default',
					own('%[1]s'));
				create table late (like rest including all); alter table late add check (identity = own('66%[1]s')
					and identity is not null); alter table rest alter code set storage external; end $$`,
				e.native, "'"+strings.ReplaceAll(table, "%s", "%I")+"'", e.Source.Publication))
			e.publish(t)
			e.Capture = func(c *replication.Capture) { c.WatchEvery = 200 * time.Millisecond }
			e.Marker = "insert into rest values ('marker', 'x', clock_timestamp()::text) on conflict (identity) do update set " +
				"code = clock_timestamp()::text"
			e.Start(t)
			e.AwaitLeading(t)
			status := fmt.Sprintf("own('6f6b%s')", e.native)
			e.DB.Exec(t, fmt.Sprintf(
				"insert into rest select own('65%[1]s'), repeat(own('%[1]s'), 2000), 'new', 1, own('%[1]s')", e.native))
			e.CaughtUp(t)
			e.DB.Exec(t, fmt.Sprintf(
				`do $$ begin execute format('update rest set %%I = %%L where id = 1', own('73%[1]s'), %[2]s); end $$`, e.native,
				status))
			e.Settled(t)
			got := e.inHex(t, "source_key", "attendee_relay.message")
			if !slices.Equal(got, []string{strings.Repeat(e.native, 2000)}) {
				t.Errorf("%d messages, %.40q", len(got), got)
			}
			e.DB.Exec(t, fmt.Sprintf(`insert into late select own('66%[1]s'), own('67%[1]s'), %[2]s, 2, own('%[1]s')`, e.native,
				status))
			e.DB.Exec(t, fmt.Sprintf(
				`do $$ begin execute format('alter table %%I attach partition late for values in (%%L)', own('%[1]s'),
					own('66%[1]s')); end $$`, e.native))
			pgtest.WaitUntil(t, 20*time.Second, "the partition's row is announced", func() (bool, string) {
				got := e.inHex(t, "source_key", "attendee_relay.message where attendee_id = '2'")
				return slices.Equal(got, []string{"67" + e.native}), fmt.Sprint(got, e.Board.List())
			})
		})
	}
}
