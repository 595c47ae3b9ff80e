package replication

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/pgtest"
)

// testSource describes a table (id int, status text).
func testSource() *Source {
	id, status := Column{Number: 1, Name: "id", TypeOID: 23}, Column{Number: 2, Name: "status", TypeOID: 25}
	return &Source{OID: 7, Schema: "public", Table: "people", Identity: []Column{id}, Key: id, Status: status,
		Accepted: []string{"Accepted"},
		stream:   streamForms{accepted: []string{"Accepted"}}}
}

func begin() []byte { return append([]byte{'B'}, make([]byte, 20)...) }

func relation() []byte {
	m := binary.BigEndian.AppendUint32([]byte{'R'}, 7)
	m = append(m, "public\x00people\x00d\x00\x02"...)
	for _, c := range []Column{testSource().Key, testSource().Status} {
		m = append(append(append(m, 1), c.Name...), 0)
		m = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(m, c.TypeOID), 0)
	}
	return m
}

func appendTuple(m []byte, values ...string) []byte {
	m = binary.BigEndian.AppendUint16(m, uint16(len(values)))
	for _, value := range values {
		m = append(binary.BigEndian.AppendUint32(append(m, 't'), uint32(len(value))), value...)
	}
	return m
}

// claimsMuch reports whether a message claims a truncate of more tables than it has room for: the library would
// allocate that much at once. No Postgres server sends such a message.
func claimsMuch(message []byte) bool {
	return len(message) > 4 && message[0] == 'T' && (message[1] != 0 || message[2] != 0)
}

// Whatever a message holds, it is an answer or an error.
func FuzzAssembler(f *testing.F) {
	insert := appendTuple(append(binary.BigEndian.AppendUint32([]byte{'I'}, 7), 'N'), "1", "Accepted")
	update := appendTuple(append(appendTuple(append(binary.BigEndian.AppendUint32([]byte{'U'}, 7), 'K'), "1", "x"), 'N'),
		"2", "Accepted")
	for _, message := range [][]byte{insert, update, relation(), begin(), append([]byte{'C'}, make([]byte, 25)...),
		{'T', 0, 0, 0, 1, 0, 0, 0, 0, 7}, {'T', 0, 0, 255, 255, 0}, {'I', 0, 0, 0, 7, 'N', 255, 255}, {'R'}, {}, {'O'}, {'Y'},
		{'M', 0}} {
		f.Add(message, message)
	}
	f.Fuzz(func(_ *testing.T, first, second []byte) {
		a := newAssembler(testSource(), 2)
		for _, message := range [][]byte{relation(), begin(), insert, first, second} {
			if claimsMuch(message) {
				return
			}
			if _, err := a.take(message); err != nil {
				return
			}
		}
	})
}

// rowText writes rows as Postgres does.
func TestRowText(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, pgtest.Empty())
	conn, err := pgx.Connect(t.Context(), db.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	alphabet := []rune("ab\"\\(),' \t\n\r\v\f\u0001{}NULLé🎉\u0085\u00a0\u2003\u2028")
	for range 300 {
		fields := make([]string, 3)
		for i := range fields {
			for range random.IntN(5) {
				fields[i] += string(alphabet[random.IntN(len(alphabet))])
			}
		}
		var want string
		if err := conn.QueryRow(t.Context(), "select row($1::text, $2::text, $3::text)::text", fields[0], fields[1],
			fields[2]).Scan(&want); err != nil {
			t.Fatal(err)
		}
		if got := rowText(fields); got != want {
			t.Errorf("seed %d: %q is %q, Postgres writes %q", seed, fields, got, want)
		}
	}
}
