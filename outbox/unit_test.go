package outbox

import (
	"encoding/json"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/pgtest"
)

func TestShortestDecimal(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"100.00": "100", "0.10": "0.1", "123.45": "123.45", "0": "0", "0.00": "0", "-0.00": "0", "-1.50": "-1.5",
		"1000": "1000", "12345678901234567890.123456789012345678901": "12345678901234567890.123456789012345678901",
		"1e3": "1000", "1.5e-3": "0.0015", "2E+2": "200", ".5": "0.5", "007.0": "7",
	} {
		if got, err := shortestDecimal(text); err != nil || got != want {
			t.Errorf("%s became %s, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "NaN", "Infinity", "-Infinity", "$1.00", "1,50", "1e", "1e9999999999", "e5", ".",
		"-", "1.2.3", "0x10", "1_000"} {
		if got, err := shortestDecimal(text); err == nil {
			t.Errorf("%q became %s", text, got)
		}
	}
}

func FuzzShortestDecimal(f *testing.F) {
	for _, text := range []string{"100.00", "-0.10", "1e-7", "0001.2300e+2", "NaN", "."} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := shortestDecimal(text)
		if err != nil {
			return
		}
		want, ok := new(big.Rat).SetString(strings.TrimSpace(text))
		if !ok {
			t.Skip() // more than one sign: Postgres writes none of these
		}
		have, ok := new(big.Rat).SetString(got)
		if !ok || have.Cmp(want) != 0 || strings.ContainsAny(got, "eE+") || got == "-0" ||
			strings.Contains(got, ".") && strings.HasSuffix(got, "0") || !json.Valid([]byte(got)) {
			t.Errorf("%q became %q", text, got)
		}
	})
}

func FuzzAppendText(f *testing.F) {
	for _, text := range []string{"", "a\"b\\c", "\x00\x1f\x7f", "<script>&amp;</script>", "\u2028é🎉", "\xff",
		"\xed\xa0\x80"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		written := appendText(nil, []byte(text))
		var read string
		if err := json.Unmarshal(written, &read); err != nil || !utf8.Valid(written) {
			t.Fatalf("%q became %s: %v", text, written, err)
		}
		if utf8.ValidString(text) && read != text {
			t.Errorf("%q became %s", text, written)
		}
		if strings.Contains(string(written), `\u003c`) {
			t.Errorf("HTML is escaped in %s", written)
		}
	})
}

func TestMessageIDIsStable(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 2, 3, 4, 5, 6, 789000, time.UTC)
	id := func(system string, lsn pglogrepl.LSN, at time.Time, identity, key, url string) string {
		return everyID(system, lsn, at, identity, key, url)
	}
	golden := id("7301", 0x16B374D848, at, "42", "42", "https://example.org/hook")
	// Messages on their way carry this id: it must never change.
	if want := "msg_43mpn9flag0cl1tfotho3o0u3ef7ojvo"; golden != want {
		t.Errorf("the id is %s, want %s", golden, want)
	}
	for what, other := range map[string]string{
		"system":   id("7302", 0x16B374D848, at, "42", "42", "https://example.org/hook"),
		"lsn":      id("7301", 0x16B374D849, at, "42", "42", "https://example.org/hook"),
		"time":     id("7301", 0x16B374D848, at.Add(time.Microsecond), "42", "42", "https://example.org/hook"),
		"identity": id("7301", 0x16B374D848, at, "4", "242", "https://example.org/hook"),
		"key":      id("7301", 0x16B374D848, at, "42", "43", "https://example.org/hook"),
		"url":      id("7301", 0x16B374D848, at, "42", "42", "https://example.org/hook/"),
	} {
		if other == golden {
			t.Errorf("another %s has the same id", what)
		}
	}
	if strings.Contains(golden, ".") || !strings.HasPrefix(golden, "msg_") {
		t.Errorf("the id is %s", golden)
	}
}

func TestSnapshotFull(t *testing.T) {
	t.Parallel()
	const epoch = uint64(1) << 32
	cases := []struct {
		name string
		xmax uint64
		xid  uint32
		want uint64
	}{
		{"before", 1000, 900, 900},
		{"ahead of the snapshot", 1000, 1005, 1005},
		{"in a later epoch", 3*epoch + 1000, 900, 3*epoch + 900},
		{"before the wrap, seen from behind it", epoch + 5, 0xfffffff0, 0xfffffff0},
		{"behind the wrap, seen from before it", epoch - 5, 7, epoch + 7},
		{"at the wrap", epoch, 0, epoch},
		{"just before the wrap", epoch, 0xffffffff, epoch - 1},
		{"far behind", 5*epoch + 1, 0x80000002, 4*epoch + 0x80000002},
		{"far ahead", 5*epoch + 1, 0x80000000, 5*epoch + 0x80000000},
	}
	for _, c := range cases {
		if got := (snapshot{xmax: c.xmax}).full(c.xid); got != c.want {
			t.Errorf("%s: %d of xmax %d is %d, want %d", c.name, c.xid, c.xmax, got, c.want)
		}
	}
	s, err := parseSnapshot("4294967290:4294967300:4294967295,4294967298")
	if err != nil {
		t.Fatal(err)
	}
	for xid, want := range map[uint32]bool{0xfffffff0: true, 0xffffffff: false, 0: true, 2: false, 3: true, 4: false,
		100: false} {
		if s.sees(xid) != want {
			t.Errorf("sees(%d) = %v", xid, !want)
		}
	}
}

func FuzzParseSnapshot(f *testing.F) {
	for _, text := range []string{"10:20:10,14,15", "1:1:", "", "::", "1:2", "-1:2:3",
		"18446744073709551615:18446744073709551615:", "1:2:3,"} {
		f.Add(text, uint32(7))
	}
	f.Fuzz(func(_ *testing.T, text string, xid uint32) {
		if s, err := parseSnapshot(text); err == nil {
			s.sees(xid)
		}
	})
}

// arrayLiteral goes through Postgres and back.
// Every version of Postgres reads what we write.
func TestIntervalIsReadByPostgres(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, pgtest.Empty())
	for _, d := range []time.Duration{0, time.Microsecond, 250 * time.Microsecond, 15 * time.Minute, time.Hour,
		24 * time.Hour,
		2160 * time.Hour} {
		const microseconds = "select (extract(epoch from $1::text::interval) * 1000000)::int8"
		if got := pgtest.Value[int64](t, db, microseconds, interval(d)); got != d.Microseconds() {
			t.Errorf("%v was read as %d microseconds", d, got)
		}
	}
}

func TestArrayLiteral(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, pgtest.Empty())
	conn, err := pgx.Connect(t.Context(), db.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	random := rand.New(rand.NewPCG(1, 2))
	alphabet := []rune(`ab"\{},'; ` + "\t\n\r\v\fNULL()é🎉\u00a0\u2028")
	for range 200 {
		keys := make([]string, random.IntN(6))
		for i := range keys {
			key := make([]rune, random.IntN(8))
			for j := range key {
				key[j] = alphabet[random.IntN(len(alphabet))]
			}
			keys[i] = string(key)
		}
		keys = append(keys, "NULL", "")
		var back []string
		if err := conn.QueryRow(t.Context(), "select $1::text::text[]", string(arrayLiteral(keys))).Scan(&back); err != nil {
			t.Fatalf("%q: %v", keys, err)
		}
		if strings.Join(back, "\x00") != strings.Join(keys, "\x00") {
			t.Errorf("%q came back as %q", keys, back)
		}
	}
}
