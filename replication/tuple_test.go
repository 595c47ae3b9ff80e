package replication

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/jackc/pglogrepl"
)

// rowStart is a change of testSource's table up to its first row.
func rowStart(kind, mark byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{kind}, testSource().OID), mark)
}

// rowMessages are one of each form that a server sends: with an old row, with its key, with NULL and an unchanged TOAST
// value, empty values and binary ones.
func rowMessages() [][]byte {
	old := func(kind, mark byte) []byte { return appendTuple(rowStart(kind, mark), "1", "Pending") }
	return [][]byte{
		appendTuple(rowStart('I', 'N'), "1", "Accepted"),
		appendTuple(rowStart('U', 'N'), "1", ""),
		appendTuple(append(old('U', 'O'), 'N'), "2", "Accepted"),
		append(append(rowStart('U', 'K'), "\x00\x02t\x00\x00\x00\x011nN"...), "\x00\x02t\x00\x00\x00\x012u"...),
		old('D', 'O'),
		append(rowStart('D', 'K'), "\x00\x02t\x00\x00\x00\x011n"...),
		append(rowStart('I', 'N'), "\x00\x02b\x00\x00\x00\x02\x00\x01n"...),
	}
}

// A message is read as the library reads it, whatever was read into the same memory before, and a message that the
// library refuses is refused.
func FuzzRowMessage(f *testing.F) {
	for _, message := range rowMessages() {
		f.Add(message)
		f.Add(message[:len(message)-1])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		op := rowOp(data)
		if op == 0 || claimsLongText(data) {
			t.Skip()
		}
		var m rowMessage
		for _, earlier := range rowMessages() {
			if err := m.read(rowOp(earlier), earlier); err != nil {
				t.Fatal(err)
			}
		}
		err := m.read(op, data)
		parsed, theirs := parse(data)
		switch {
		case err != nil && theirs == nil && !wronglyMarked(data):
			t.Errorf("%q is refused, and the library reads it: %v", data, err)
		// a row without columns, which the library finds short
		case err == nil && theirs != nil && string(data[5:]) != "N\x00\x00":
			t.Errorf("%q is read, and the library refuses it: %v", data, theirs)
		case err == nil && theirs == nil && !sameAsParsed(&m, parsed):
			t.Errorf("%q is read as %+v, and by the library as %+v", data, m, parsed)
		}
	})
}

// claimsLongText reports whether a message may claim a text longer than itself: the library would allocate that much at
// once. No Postgres server sends such a message.
func claimsLongText(message []byte) bool {
	for i := 1; i+2 < len(message); i++ {
		if (message[i] == 't' || message[i] == 'b') && (message[i+1] != 0 || message[i+2] != 0) {
			return true
		}
	}
	return false
}

// wronglyMarked reports whether an update's new row begins with a wrong mark: the library checks the mark only if there
// is no old row.
func wronglyMarked(update []byte) bool {
	var old tuple
	rest, err := old.read(update[6:])
	return update[0] == 'U' && err == nil && len(rest) > 0 && rest[0] != 'N'
}

func sameAsParsed(m *rowMessage, parsed pglogrepl.Message) bool {
	switch p := parsed.(type) {
	case *pglogrepl.InsertMessage:
		return m.op == Insert && m.relation == p.RelationID && m.before == nil && sameTuple(m.after, p.Tuple)
	case *pglogrepl.UpdateMessage:
		return m.op == Update && m.relation == p.RelationID && sameTuple(m.before, p.OldTuple) &&
			sameTuple(m.after, p.NewTuple)
	case *pglogrepl.DeleteMessage:
		return m.op == Delete && m.relation == p.RelationID && sameTuple(m.before, p.OldTuple) && m.after == nil
	}
	return false
}

func sameTuple(have *tuple, want *pglogrepl.TupleData) bool {
	if have == nil || want == nil {
		return have == nil && want == nil
	}
	return slices.EqualFunc(have.fields, want.Columns, func(f field, c *pglogrepl.TupleDataColumn) bool {
		return f.kind == c.DataType && bytes.Equal(f.text, c.Data)
	})
}

func TestAMalformedRowIsRefused(t *testing.T) {
	t.Parallel()
	for name, message := range map[string][]byte{
		"an insert with the mark of an old row": appendTuple(rowStart('I', 'O'), "1", "Accepted"),
		"an insert with an old row": appendTuple(append(appendTuple(rowStart('I', 'O'), "1", "x"), 'N'), "1",
			"Accepted"),
		"an update with an unknown mark": appendTuple(rowStart('U', 'X'), "1", "Accepted"),
		"an update with two old rows": appendTuple(append(appendTuple(rowStart('U', 'K'), "1", "x"), 'K'), "1",
			"x"),
		"an update with an old row only": appendTuple(rowStart('U', 'O'), "1", "Accepted"),
		"a delete with a new row":        appendTuple(rowStart('D', 'N'), "1", "Accepted"),
		"a text longer than the message": append(rowStart('I', 'N'), "\x00\x01t\x00\x00\x00\x021"...),
		"a text of 4 GiB":                append(rowStart('I', 'N'), "\x00\x01t\xff\xff\xff\xff1"...),
		"more columns than the message":  append(rowStart('I', 'N'), "\xff\xffnn"...),
	} {
		if err := new(rowMessage).read(rowOp(message), message); err == nil {
			t.Errorf("%s is read", name)
		}
	}
	for _, message := range rowMessages() {
		for end := 1; end < len(message); end++ {
			if err := new(rowMessage).read(rowOp(message), message[:end:end]); err == nil {
				t.Errorf("%q is read without its last %d bytes", message, len(message)-end)
			}
		}
	}
}

// The stream's buffer is used again for the next message while the commit is still being recorded.
func TestACommitOutlivesItsMessages(t *testing.T) {
	t.Parallel()
	a := newAssembler(testSource(), 10)
	var commit *Commit
	for _, message := range [][]byte{relation(), begin(),
		appendTuple(append(appendTuple(rowStart('U', 'K'), "1", "x"), 'N'), "2", "Accepted"),
		appendTuple(rowStart('D', 'K'), "3", "x"), append([]byte{'C'}, make([]byte, 25)...)} {
		var err error
		if commit, err = a.take(message); err != nil {
			t.Fatal(err)
		}
		for i := range message {
			message[i] = '?'
		}
	}
	want := []Change{
		{Op: Update, Identity: "2", Previous: "1", Key: TextValue("2"), Status: Accepted},
		{Op: Delete, Identity: "3"},
	}
	if commit == nil || !slices.Equal(commit.Changes, want) {
		t.Errorf("%+v, want %+v", commit, want)
	}
}

// An unchanged TOAST value is the old row's if that has one, and otherwise unknown.
func TestAnUnchangedValueStandsInTheOldRow(t *testing.T) {
	t.Parallel()
	const unchanged = "\x00\x02t\x00\x00\x00\x011u"
	for name, c := range map[string]struct {
		message []byte
		want    Status
	}{
		"no old row": {append(rowStart('U', 'N'), unchanged...), StatusUnchanged},
		"an old row": {append(append(appendTuple(rowStart('U', 'O'), "1", "Accepted"), 'N'), unchanged...),
			Accepted},
		"an old row without it": {append(append(append(rowStart('U', 'O'), unchanged...), 'N'), unchanged...),
			StatusUnchanged},
		"an old row with a NULL": {append(append(append(rowStart('U', 'K'), "\x00\x02t\x00\x00\x00\x011n"...), 'N'),
			unchanged...), StatusUnchanged},
		"an old row cut off": {append(append(appendTuple(rowStart('U', 'K'), "1"), 'N'), unchanged...), StatusUnchanged},
	} {
		a := newAssembler(testSource(), 1)
		for _, message := range [][]byte{relation(), begin()} {
			if _, err := a.take(message); err != nil {
				t.Fatal(err)
			}
		}
		part, err := a.take(c.message)
		if err != nil || part == nil || part.Changes[0].Status != c.want {
			t.Errorf("%s: %+v, %v", name, part, err)
		}
	}
}
