package replication

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/jackc/pglogrepl"
)

var errCutShort = errors.New("it is malformed: it is cut short")

// rowMessage is an Insert, Update or Delete of pgoutput (PostgreSQL 14-18, "Logical Replication Message Formats"). It
// is read in place, because most columns of most rows are not needed: its fields are valid as long as the message's
// bytes, and its memory is used again for the next message.
type rowMessage struct {
	op       Op
	relation uint32
	// before is the old row or its key, nil where the message has none; after is nil for Delete.
	before, after *tuple
	room          [2]tuple
}

// tuple is one row of a message.
type tuple struct{ fields []field }

// field is what a row has in one column. Its kind is pglogrepl's TupleDataType.
type field struct {
	kind uint8
	text []byte
}

// longMessage is how long a message is whose bytes must not outlive it.
const longMessage = 64 << 10

// forget lets go of the message's bytes.
func (m *rowMessage) forget() {
	for i := range m.room {
		clear(m.room[i].fields)
	}
}

// rowOp says which change of a row a message is, or 0.
func rowOp(data []byte) Op {
	if len(data) == 0 {
		return 0
	}
	switch pglogrepl.MessageType(data[0]) {
	case pglogrepl.MessageTypeInsert:
		return Insert
	case pglogrepl.MessageTypeUpdate:
		return Update
	case pglogrepl.MessageTypeDelete:
		return Delete
	default:
		return 0
	}
}

// read reads a message of which rowOp said what it is.
func (m *rowMessage) read(op Op, data []byte) error {
	if len(data) < 6 {
		return errCutShort
	}
	m.op, m.relation = op, binary.BigEndian.Uint32(data[1:])
	m.before, m.after = nil, nil
	mark, rest := data[5], data[6:]
	var err error
	if op != Insert && (mark == pglogrepl.UpdateMessageTupleTypeKey || mark == pglogrepl.UpdateMessageTupleTypeOld) {
		m.before = &m.room[0]
		if rest, err = m.before.read(rest); err != nil || op == Delete {
			return err
		}
		if len(rest) == 0 {
			return errCutShort
		}
		mark, rest = rest[0], rest[1:]
	}
	if op == Delete || mark != pglogrepl.UpdateMessageTupleTypeNew {
		return errors.New("it is malformed: it has something else where a row should be")
	}
	m.after = &m.room[1]
	_, err = m.after.read(rest)
	return err
}

// read reads a row and returns what follows it.
func (t *tuple) read(data []byte) ([]byte, error) {
	t.fields = t.fields[:0]
	if len(data) < 2 {
		return nil, errCutShort
	}
	count, data := binary.BigEndian.Uint16(data), data[2:]
	for range count {
		if len(data) == 0 {
			return nil, errCutShort
		}
		f := field{kind: data[0]}
		data = data[1:]
		if f.kind == pglogrepl.TupleDataTypeText || f.kind == pglogrepl.TupleDataTypeBinary {
			if len(data) < 4 {
				return nil, errCutShort
			}
			size := binary.BigEndian.Uint32(data)
			if data = data[4:]; size > math.MaxInt32 || int(size) > len(data) {
				return nil, errCutShort
			}
			f.text, data = data[:size], data[size:]
		}
		t.fields = append(t.fields, f)
	}
	return data, nil
}

// field returns a row's field at a position. An unchanged TOAST value, which the new row leaves out, is taken from the
// old row under REPLICA IDENTITY FULL, or with a key column.
func (t *tuple) field(at int, old *tuple) (field, error) {
	if t == nil || at >= len(t.fields) {
		return field{}, errors.New("a change in the stream has fewer columns than its table")
	}
	f := t.fields[at]
	if f.kind == pglogrepl.TupleDataTypeToast && old != nil && at < len(old.fields) &&
		old.fields[at].kind == pglogrepl.TupleDataTypeText {
		return old.fields[at], nil
	}
	return f, nil
}

// value is a copy that outlives the message.
func (f field) value() Value {
	switch f.kind {
	case pglogrepl.TupleDataTypeText:
		return TextValue(string(f.text))
	case pglogrepl.TupleDataTypeToast:
		return Value{Kind: Unchanged}
	default:
		return Value{Kind: Null}
	}
}
