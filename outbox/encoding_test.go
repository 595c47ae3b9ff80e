package outbox_test

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"attendee-relay/internal/capturetest"
	"attendee-relay/internal/fault"
	"attendee-relay/internal/pgtest"
	"attendee-relay/outbox"
	"attendee-relay/replication"
)

// encodings are all that a database of this server may have but MULE_INTERNAL, which Postgres cannot convert to UTF-8.
func encodings(t *testing.T) []string {
	t.Helper()
	const list = `select pg_encoding_to_char(n) from generate_series(0, 100) n
		where pg_encoding_to_char(n) not in ('', 'MULE_INTERNAL', 'SJIS', 'BIG5', 'GBK', 'UHC', 'GB18030', 'JOHAB',
			'SHIFT_JIS_2004')`
	found := pgtest.Values[string](t, pgtest.New(t, pgtest.Empty()), list)
	if len(found) < 34 {
		t.Fatalf("the server knows %d encodings", len(found))
	}
	return found
}

// encoded is a rig on a database in some encoding. Table, status column and accepted value are named by native, a text
// of that encoding beyond ASCII; odd is a text that the database may hold and that has no UTF-8, or "" if there is
// none.
type encoded struct {
	*capturetest.Rig
	native, odd string // hexadecimal, in the encoding
	utf8        string // native
	utf8Pool    *pgxpool.Pool
}

// probes has utf8_of, which is NULL for bytes that have no UTF-8, and held, which says whether a text of the database
// may be them.
const probes = `
	create function utf8_of(b bytea) returns text language plpgsql as $$ begin
		return encode(convert(b, getdatabaseencoding(), 'UTF8'), 'hex'); exception when others then return null; end $$;
	create function held(b bytea) returns boolean language plpgsql as $$ begin
		return convert_from(b, getdatabaseencoding()) is not null; exception when others then return false; end $$;
	create function candidates() returns setof bytea language sql as $$
		select set_byte('\x00', 0, n) from generate_series(161, 255) n union all select set_byte('\x00', 0, n)
			from generate_series(128, 160) n
		 union all select set_byte(set_byte('\x0000', 0, n), 1, m) from generate_series(176, 254) n, generate_series(161, 254,
		 	31) m
		 union all values ('\xc582'::bytea), ('\xf09f8e89'::bytea) $$;`

// people are put into the table by their code, of which all arguments but the number are hexadecimal.
const putPerson = `create function put(code text, id int, status text, name text, note text) returns void
	language plpgsql as $$ begin
		execute format('insert into %%1$I values ($1, $2, $3, $4, $5)
			on conflict (code) do update set %%2$I = $3, name = $4, note = $5', own('%[1]s'), own('73%[1]s'))
		using own(code), id, own(status), own(name), own(note); end $$;`

func newEncoded(t *testing.T, encoding, key string) *encoded {
	t.Helper()
	db := pgtest.New(t, pgtest.Encoding(encoding))
	db.Exec(t, probes+`create function own(h text) returns text language sql as $$
		select convert_from(decode(h, 'hex'), getdatabaseencoding()) $$;`)
	const some = `select coalesce(string_agg(encode(c, 'hex'), ''), '')
		from (select c from candidates() c where held(c) and utf8_of(c) %s limit %d) s`
	e := &encoded{Rig: capturetest.New(db)}
	e.native = pgtest.Value[string](t, db, fmt.Sprintf(some, "is not null and length(c) > 1", 3))
	if e.native == "" {
		e.native = pgtest.Value[string](t, db, fmt.Sprintf(some, "is not null", 3))
	}
	e.odd = pgtest.Value[string](t, db, fmt.Sprintf(some, "is null", 2))
	raw, err := hex.DecodeString(pgtest.Value[string](t, db, "select utf8_of(decode($1, 'hex'))", e.native))
	if err != nil || len(raw) < 4 {
		t.Fatalf("%s: no text beyond ASCII: %q, %v", encoding, e.native, err)
	}
	e.utf8 = string(raw)
	db.Exec(t, fmt.Sprintf(`do $$ begin
		execute format('create table %%I (code text primary key, id int, %%I text, name text, note text)',
			own('%[1]s'), own('73%[1]s'));
		execute format('create view own_rows as select code, %%I as status from %%I', own('73%[1]s'), own('%[1]s'));
		end $$;`+putPerson, e.native))
	e.Source.Table, e.Source.Status, e.Source.Key, e.Source.Accepted = "public."+e.utf8, "s"+e.utf8, key,
		[]string{"ok" + e.utf8}
	e.Unprepared = true // the table's name is not UTF-8 to the owner
	e.publish(t)
	e.Outbox.Query = fmt.Sprintf(`select %s as key, id as attendee_id, name, 's' as surname, null::text as email,
		null::numeric as price, null::text as currency,
		1 as event_id, 'e' as event_name, 'https://example.org/' || name as webhook_url, '[{"v": "\u017c"}]'::json as
			form_fields from public."%s" where %[1]s = any
			($1::%[3]s[])`, key, e.utf8, map[string]string{"code": "text", "id": "int"}[key])
	e.Marker = "select put('6d', -1, '', '', encode(convert_to(clock_timestamp()::text, 'SQL_ASCII'), 'hex'))"
	e.Capture = func(c *replication.Capture) { c.PartSize = 4 }
	e.utf8Pool = db.Pool(t, func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["client_encoding"] = "UTF8" })
	return e
}

// publish makes the publication as the table's owner.
func (e *encoded) publish(t *testing.T) {
	t.Helper()
	e.DB.Exec(t, fmt.Sprintf(
		`do $$ begin execute format('create publication %%I for table only %%I with (publish_via_partition_root = true)',
			'%s', own('%s')); end $$`,
		e.Source.Publication, e.native))
}

func (e *encoded) put(t *testing.T, code string, id int, accepted bool, name, note string) {
	t.Helper()
	status := ""
	if accepted {
		status = "6f6b" + e.native
	}
	e.DB.Exec(t, fmt.Sprintf("select put('%s', %d, '%s', '%s', '%s')", code, id, status, name, note))
}

// inHex reads texts of the database as the bytes that it keeps.
func (e *encoded) inHex(t *testing.T, column, from string) []string {
	t.Helper()
	return pgtest.Values[string](t, e.DB,
		fmt.Sprintf("select encode(convert_to(%s, getdatabaseencoding()), 'hex') from %s order by 1", column, from))
}

// Whatever the database's encoding is, and whatever any column of any row holds: accepted rows are announced once,
// ledger and table agree, a payload or a key without UTF-8 waits alone, and an answer in any characters is recorded.
func TestServerEncodings(t *testing.T) {
	t.Parallel()
	for _, encoding := range encodings(t) {
		t.Run(encoding, func(t *testing.T) {
			t.Parallel()
			e := newEncoded(t, encoding, "code")
			t.Logf("native %s (%s), odd %s", e.native, e.utf8, e.odd)
			e.put(t, e.native, 1, true, e.native, e.odd)
			e.put(t, "62"+e.odd, 2, true, e.native, e.odd)
			e.Start(t)
			e.AwaitLeading(t)
			e.put(t, e.native, 1, true, e.native, e.native+e.odd) // accepted before
			e.put(t, "62"+e.odd, 2, true, e.native, "78")
			want := []string{"61" + e.native}
			e.put(t, want[0], 3, true, e.native, e.odd)
			if e.odd != "" {
				e.put(t, "63", 4, true, e.odd, "")          // a body without UTF-8
				e.put(t, "64"+e.odd, 5, true, e.native, "") // a key without UTF-8
			}
			var several []string
			for n := range 6 {
				code := hex.EncodeToString([]byte{'1' + byte(n)}) + e.native
				several = append(several, fmt.Sprintf("put('%s', %d, '6f6b%s', '%s', '%s')", code, 10+n, e.native, e.native, e.odd))
				want = append(want, code)
			}
			if e.odd != "" {
				several = append(several, fmt.Sprintf("put('65%s', 20, '6f6b%s', '%[2]s', '')", e.odd, e.native))
			}
			e.DB.Exec(t, "select "+strings.Join(several, ", ")) // too large for memory
			e.put(t, e.native, 1, false, e.native, "")
			e.put(t, e.native, 1, true, e.native, "")
			want = append(want, e.native)
			slices.Sort(want)
			e.CaughtUp(t)
			e.checkMessages(t, want)
			e.checkBooks(t)
			e.checkOutcomes(t, encoding, len(want))
		})
	}
}

// checkMessages waits until these codes have a message and no others, and the body of each is right.
func (e *encoded) checkMessages(t *testing.T, want []string) {
	t.Helper()
	pgtest.WaitUntil(t, capturetest.Patience, "the messages are there", func() (bool, string) {
		got := e.inHex(t, "source_key", "attendee_relay.message")
		return len(got) >= len(want),
			fmt.Sprint(got, e.inHex(t, "source_key || coalesce(last_error, '')", "attendee_relay.acceptance"))
	})
	if got := e.inHex(t, "source_key", "attendee_relay.message"); !slices.Equal(got, want) {
		t.Errorf("messages of %q, want %q", got, want)
	}
	const bodies = "select count(*)::int from attendee_relay.outbox where payload = format($1::text, attendee_id) and " +
		"webhook_url = 'https://example.org/' || $2"
	body := fmt.Sprintf(`{"type":"attendee_accepted","attendee":{"id":%%s,"name":"%s","surname":"s","email":null},`+
		`"fee":null,"event":{"id":1,"name":"e"},"group":null,`+
		`"form_fields":[{"v":"\u017c"}],"additional_attendees":[]}`, e.utf8)
	var right int
	if err := e.utf8Pool.QueryRow(t.Context(), bodies, body, e.utf8).Scan(&right); err != nil || right != len(want) {
		t.Errorf("%d of %d bodies are right, %v", right, len(want), err)
	}
	if e.odd == "" {
		return
	}
	pgtest.WaitUntil(t, capturetest.Patience, "three acceptances wait with their errors", func() (bool, string) {
		got := e.inHex(t, "source_key", "attendee_relay.acceptance where state = 'waiting' and last_error ~ '22021|22P05'")
		return slices.Equal(got, []string{"63", "64" + e.odd, "65" + e.odd}), fmt.Sprint(got)
	})
}

// checkBooks compares the ledger with the table, and has the relay compare them after a loss of its slot.
func (e *encoded) checkBooks(t *testing.T) {
	t.Helper()
	accepted := e.inHex(t, "code", fmt.Sprintf(`own_rows where status = own('6f6b%s')`, e.native))
	if got := e.inHex(t, "identity", "attendee_relay.ledger"); !slices.Equal(got, accepted) {
		t.Errorf("the ledger has %q, the table %q", got, accepted)
	}
	e.Stop(t)
	e.DB.AwaitFreeSlot(t, e.Source.Slot)
	e.DB.Exec(t, "select pg_drop_replication_slot($1)", e.Source.Slot)
	e.Start(t)
	e.CaughtUp(t)
	if got := pgtest.Values[string](t, e.DB,
		"select format('%s +%s -%s', reason, added, removed) from attendee_relay.gap"); !slices.Equal(got,
		[]string{"slot_missing +0 -0"}) {
		t.Errorf("the gaps are %q", got)
	}
	for _, f := range e.Board.List() {
		if f.Code != fault.QueryFailing { // some wait
			t.Errorf("a fault: %v", f)
		}
	}
}

// checkOutcomes settles all messages at once, with answers in characters that the encoding may lack.
func (e *encoded) checkOutcomes(t *testing.T, encoding string, n int) {
	t.Helper()
	var all strings.Builder
	for r := rune(0); r < 0x3000; r++ {
		all.WriteRune(r)
	}
	q := outbox.NewQueue(e.utf8Pool, "test", outbox.Breaker{Failures: 10, Probe: time.Minute}, nil)
	said := []string{"za\u017c\u00f3\u0142\u0107 \U0001f389", "\x00\xff\xc5", all.String()}
	var settlements []outbox.Settlement
	for i, m := range claim(t, q, 100, 100, time.Minute, nil) {
		a := outbox.Attempt{StartedAt: time.Now(), Duration: time.Millisecond, Status: 200, Response: said[i%len(said)]}
		outcome := outbox.Delivered(a)
		if i == 1 {
			a.Status, a.Error = 500, said[0]+said[1]
			outcome = outbox.RetryIn(time.Hour, a)
		}
		settlements = append(settlements, outbox.Settlement{Message: m, Outcome: outcome})
	}
	settle(t, q, outbox.Settled{Applied: n}, settlements...)
	for _, text := range said {
		want := outbox.Storable(encoding, text)
		var found int
		if err := e.utf8Pool.QueryRow(t.Context(), "select count(*)::int from attendee_relay.attempt where response = $1",
			want).Scan(&found); err != nil || found == 0 {
			t.Errorf("the answer %.20q is not kept as %.20q: %v", text, want, err)
		}
	}
	got := pgtest.Value[int](t, e.DB, "select count(*) from attendee_relay.outbox where state = 'delivered'")
	if got != n-1 {
		t.Errorf("%d of %d are delivered", got, n-1)
	}
}
