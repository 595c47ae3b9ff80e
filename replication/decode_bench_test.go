package replication

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// attendees describes the table of that name in demo/schema.sql.
func attendees() *Source {
	id, status := Column{Number: 1, Name: "id", TypeOID: 20}, Column{Number: 9, Name: "status", TypeOID: 25}
	return &Source{OID: 16385, Schema: "public", Table: "attendees", Identity: []Column{id}, Key: id, Status: status,
		Accepted: []string{"Accepted"},
		stream:   streamForms{accepted: []string{"Accepted"}}}
}

// attendeesRelation is the message with which the stream describes it.
func attendeesRelation() []byte {
	m := binary.BigEndian.AppendUint32([]byte{'R'}, attendees().OID)
	m = append(m, "public\x00attendees\x00d\x00\x0b"...)
	for _, c := range []Column{
		{Name: "id", TypeOID: 20}, {Name: "event_id", TypeOID: 20}, {Name: "group_id", TypeOID: 20},
		{Name: "fee_id", TypeOID: 20},
		{Name: "parent_id", TypeOID: 20}, {Name: "name", TypeOID: 25}, {Name: "surname", TypeOID: 25},
		{Name: "email", TypeOID: 25},
		{Name: "status", TypeOID: 25}, {Name: "created_at", TypeOID: 1184}, {Name: "updated_at", TypeOID: 1184},
	} {
		m = append(append(append(m, 0), c.Name...), 0)
		m = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(m, c.TypeOID), 0xffffffff)
	}
	return m
}

// attendee writes one row of it, with parent_id NULL.
func attendee(m []byte) []byte {
	m = appendTuple(m, "1234567", "234", "345", "1", "", "Johanna", "Doe", "johanna.doe@example.org", "Accepted",
		"2026-02-03 04:05:06.789012+00", "2026-02-03 05:06:07.890123+00")
	empty := []byte("t\x00\x00\x00\x00")
	return bytes.Replace(m, empty, []byte{'n'}, 1)
}

// A benchmark's operation is a transaction of one row, as an accepting application makes it.
func BenchmarkTransaction(b *testing.B) {
	change := func(kind byte) []byte { return binary.BigEndian.AppendUint32([]byte{kind}, attendees().OID) }
	for _, c := range []struct {
		name    string
		message []byte
	}{
		{"insert", attendee(append(change('I'), 'N'))},
		{"update", attendee(append(change('U'), 'N'))},
		// under REPLICA IDENTITY FULL
		{"update_with_the_old_row", attendee(append(attendee(append(change('U'), 'O')), 'N'))},
		{"delete", attendee(append(change('D'), 'O'))},
	} {
		b.Run(c.name, func(b *testing.B) {
			a := newAssembler(attendees(), PartSize)
			if _, err := a.take(attendeesRelation()); err != nil {
				b.Fatal(err)
			}
			transaction := [][]byte{begin(), c.message, append([]byte{'C'}, make([]byte, 25)...)}
			b.ReportAllocs()
			for b.Loop() {
				var commit *Commit
				var err error
				for _, message := range transaction {
					if commit, err = a.take(message); err != nil {
						b.Fatal(err)
					}
				}
				if commit == nil || len(commit.Changes) != 1 {
					b.Fatalf("%+v", commit)
				}
			}
		})
	}
}
