package outbox

import (
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// referenceRow is the contract's example as the reference query returns it; the lists are as Postgres 14-18 print
// json_agg over json_build_object.
func referenceRow() ([]pgconn.FieldDescription, [][]byte) {
	var fields []pgconn.FieldDescription
	var values [][]byte
	for _, column := range []struct {
		name string
		oid  uint32
		text string
	}{
		{"key", pgtype.Int8OID, "123"},
		{"attendee_id", pgtype.Int8OID, "123"},
		{"name", pgtype.TextOID, "John"},
		{"surname", pgtype.TextOID, "Doe"},
		{"email", pgtype.TextOID, "john@doe.com"},
		{"price", pgtype.NumericOID, "123.45"},
		{"currency", pgtype.TextOID, "USD"},
		{"event_id", pgtype.Int8OID, "234"},
		{"event_name", pgtype.TextOID, "Event name"},
		{"webhook_url", pgtype.TextOID, "https://example.org/hook"},
		{"secret", pgtype.TextOID, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
		{"group_id", pgtype.Int8OID, "345"},
		{"group_name", pgtype.TextOID, "Group name"},
		{"form_fields", pgtype.JSONOID, `[{"id" : 45, "type" : "text", "label" : "Phone", "value" : "123 456 789"}, ` +
			`{"id" : 46, "type" : "text_area", "label" : "Bio", "value" : "Text"}, ` +
			`{"id" : 47, "type" : "select", "label" : "Food type", "value" : "vegetarian"}, ` +
			`{"id" : 48, "type" : "select", "label" : "Weather", "value" : null}, ` +
			`{"id" : 49, "type" : "radio", "label" : "T-shirt size", "value" : "L"}, ` +
			`{"id" : 50, "type" : "check_box", "label" : "Newsletter", "value" : true}, ` +
			`{"id" : 51, "type" : "check_box", "label" : "Marketing", "value" : false}]`},
		{"additional_attendees", pgtype.JSONOID, `[{"id" : 124, "name" : "Jane", "surname" : "Doe"}]`},
	} {
		fields = append(fields, pgconn.FieldDescription{Name: column.name, DataTypeOID: column.oid})
		values = append(values, []byte(column.text))
	}
	return fields, values
}

func BenchmarkPayload(b *testing.B) {
	fields, values := referenceRow()
	columns := newColumns(fields)
	b.ReportAllocs()
	for b.Loop() {
		if p := columns.payload(values, 4<<20); p.err != nil {
			b.Fatal(p.err)
		}
	}
}
