package outbox

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// measured are the columns of a query with integer ids, or with ids of text.
func measured(id uint32) columns {
	var fields []pgconn.FieldDescription
	for _, name := range []string{"key", "attendee_id", "name", "surname", "email", "price", "currency", "event_id",
		"event_name", "group_id", "group_name", "form_fields", "additional_attendees"} {
		oid := uint32(pgtype.TextOID)
		if strings.HasSuffix(name, "_id") {
			oid = id
		}
		fields = append(fields, pgconn.FieldDescription{Name: name, DataTypeOID: oid})
	}
	return newColumns(fields)
}

func TestBodyIsMeasuredAsItIsWritten(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	pieces := []string{"a", "é", "🎉", "\"", "\\", "\n", "\r", "\t", "\x01", "\x1f", "\x7f", "\xff", "\xed\xa0\x80", "<",
		"plain words"}
	text := func() []byte {
		if random.IntN(6) == 0 {
			return nil
		}
		b := []byte{}
		for range random.IntN(20) {
			b = append(b, pieces[random.IntN(len(pieces))]...)
		}
		return b
	}
	arrays := []string{"[]", " [ ]", "null", `[1,2]`, "[\"\xc5\xbc\"]", "{}", "",
		"\n[ {\"a\" : \" \\\" b \\\\\" }, null ]\t"}
	array := func() []byte {
		if random.IntN(6) == 0 {
			return nil
		}
		return []byte(arrays[random.IntN(len(arrays))])
	}
	prices := [][]byte{nil, []byte("100.00"), []byte("0.1"), []byte("1e399"), []byte("NaN")}
	integers := [][]byte{[]byte("1"), []byte("-9223372036854775808")}
	for range 20_000 {
		oid, ids := uint32(pgtype.Int8OID), func() []byte { return integers[random.IntN(2)] }
		if random.IntN(2) == 0 {
			oid, ids = pgtype.TextOID, text
		}
		c := measured(oid)
		values := [][]byte{text(), ids(), text(), text(), text(), prices[random.IntN(len(prices))], text(), ids(), text(),
			ids(), text(), array(), array()}
		body, wrong := c.body(values)
		size, err := c.measure(values)
		if (err == nil) != (wrong == nil) || err == nil && size != len(body) {
			t.Fatalf("%q: measured %d, %v; written %d, %v", values, size, err, len(body), wrong)
		}
		for _, limit := range []int{len(body) - 1, len(body), 1 << 20} {
			kept, excess, err := c.boundedBody(values, limit)
			switch {
			case (err == nil) != (wrong == nil):
				t.Fatalf("%q: %v, want %v", values, err, wrong)
			case err == nil && limit < len(body) && (kept != nil || excess != len(body)):
				t.Fatalf("%q: %d bytes were kept where %d are allowed, and the excess is %d", values, len(kept), limit, excess)
			case err == nil && limit >= len(body) && (!bytes.Equal(kept, body) || excess != 0):
				t.Fatalf("%q became %q with excess %d", values, kept, excess)
			}
		}
	}
}

// It runs alone: what others allocate would count.
func TestMeasuringTakesNoRoom(t *testing.T) {
	c := measured(pgtype.Int8OID)
	values := make([][]byte, len(c.integer))
	large := bytes.Repeat([]byte("\x01 \""), 8<<20)
	values[c.attendeeID], values[c.eventID], values[c.name] = []byte("1"), []byte("2"), large
	values[c.formFields] = append(append([]byte(`["`), bytes.Repeat([]byte(" "), 16<<20)...), `"]`...)
	allocated := testing.Benchmark(func(b *testing.B) {
		b.Helper()
		for b.Loop() {
			if _, excess, err := c.boundedBody(values, 4<<20); err != nil || excess < 64<<20 {
				b.Fatalf("the excess is %d, %v", excess, err)
			}
		}
	}).AllocedBytesPerOp()
	if allocated > 64<<10 {
		t.Errorf("measuring a body took %d bytes", allocated)
	}
}

// A row whose other texts are longer than any that is meant to be there cannot be a message, and keeps its key only.
func TestWordsOfARowAreBounded(t *testing.T) {
	t.Parallel()
	c := measured(pgtype.TextOID)
	for name, change := range map[string]struct{ at, size int }{
		"ids of ordinary length": {c.attendeeID, 1000},
		"a long attendee_id":     {c.attendeeID, maxWords + 1},
		"a long event_id":        {c.eventID, maxWords + 1},
		"a long key":             {c.key, maxWords + 1},
	} {
		values := make([][]byte, len(c.integer))
		for _, at := range []int{c.key, c.attendeeID, c.eventID} {
			values[at] = []byte("1")
		}
		values[change.at] = bytes.Repeat([]byte("1"), change.size)
		p := c.payload(values, 4<<20)
		if wrong := change.size > maxWords && change.at != c.key; (p.err != nil) != wrong || wrong && p.words() > len(p.key) {
			t.Errorf("%s: %v, and %d bytes are kept", name, p.err, p.words())
		}
	}
}
