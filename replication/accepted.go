package replication

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/postgres"
)

var (
	//go:embed status_type.sql
	statusTypeSQL string
	//go:embed accepted_form.sql
	acceptedFormSQL string
	//go:embed stream_names.sql
	streamNamesSQL string
)

// statusType is what the status column's type is beneath its domains.
type statusType struct {
	// base is its name, without a length.
	base  string
	array bool
	// element is the type of an array's elements, else the type itself; a domain's is the one beneath it.
	element uint32
}

// streamForms are texts as the stream writes them: in the server's encoding, which is the only one in which every
// text of the database can be read. Everything else of a Source is UTF-8.
type streamForms struct {
	names    map[string]string
	accepted []string
}

// name is a column's name in the stream.
func (f streamForms) name(name string) string {
	if written, known := f.names[name]; known {
		return written
	}
	return name
}

// readValues reads what the status may be, and how names and values are written in the stream.
func (s *Source) readValues(ctx context.Context, conn *pgx.Conn, accepted []string) error {
	var t statusType
	if err := conn.QueryRow(ctx, statusTypeSQL, s.Status.TypeOID).Scan(&t.base, &t.array, &t.element); err != nil {
		return fmt.Errorf("reading the type of column %q: %w", s.Status.Name, err)
	}
	var err error
	if s.labels, err = readShape(ctx, conn, s.Status); err != nil {
		return err
	}
	for _, value := range accepted {
		form, written, err := acceptedForm(ctx, conn, s.Status, t, value)
		if err != nil {
			return err
		}
		s.Accepted, s.stream.accepted = append(s.Accepted, form), append(s.stream.accepted, written)
	}
	s.stream.names, err = readStreamNames(ctx, conn, append([]Column{s.Key, s.Status}, s.Identity...))
	return err
}

// refusesValue reports whether an error is about the value that was cast: it does not belong to the type (class 22), is
// outside its domain (23), or the type has no cast from text.
func refusesValue(code string) bool {
	return strings.HasPrefix(code, "22") || strings.HasPrefix(code, "23") || code == "42846"
}

// acceptedForm returns an accepted value as the status column's type writes it, so that "true" finds a bool's t and
// a char(n) its padding; written is the same in the server's encoding. A value that the type would change is
// refused: rows that hold something else would be announced.
func acceptedForm(ctx context.Context, conn *pgx.Conn, status Column, t statusType,
	value string) (form, written string, err error) {
	var raw []byte
	var whole bool
	sql := fmt.Sprintf(acceptedFormSQL, status.Type, t.wholeSQL(status.Type))
	err = conn.QueryRow(ctx, sql, value).Scan(&form, &raw, &whole)
	if refusesValue(postgres.Code(err)) {
		return "", "", fault.New(fault.SourceMissing,
			"%q of SOURCE_ACCEPTED is not a value of type %s, the type of column %q (SOURCE_STATUS)",
			value, status.Type, status.Name).WithFix("set SOURCE_ACCEPTED to values of that type")
	}
	if err != nil {
		return "", "", fmt.Errorf("reading the text form of SOURCE_ACCEPTED: %w", err)
	}
	if !whole {
		return "", "", fault.New(fault.SourceMissing,
			"%q of SOURCE_ACCEPTED does not fit type %s, the type of column %q (SOURCE_STATUS): it would become %q",
			value, status.Type, status.Name, form).WithFix("set SOURCE_ACCEPTED to values that the column can hold")
	}
	return form, string(raw), nil
}

// wholeSQL is a condition that holds when $1 is the same value in the column's type, given with its length, as
// without one.
func (t statusType) wholeSQL(column string) string {
	const value = "$1::text"
	cast, list := value+"::"+column, ""
	if t.array {
		list = "[]"
	}
	text := func(of string) string { return "pg_catalog.format('%s', " + of + ")" }
	equal := func(a, b string) string { return "(" + a + ") OPERATOR(pg_catalog.=) (" + b + ")" }
	as := func(other string) string { return equal(text(cast)+"::"+other+list, value+"::"+other+list) }
	whole := equal(text(cast), text(value+"::"+t.base))
	switch t.element {
	case pgtype.BPCharOID, pgtype.NumericOID: // padded with blanks or zeros it is the same value
		return equal("("+cast+")::"+t.base, value+"::"+t.base)
	case pgtype.NameOID, pgtype.QCharOID: // they shorten and have no length that could be left out
		return as("pg_catalog.text")
	case pgtype.Float4OID, pgtype.Float8OID: // they round
		return as("pg_catalog.numeric")
	// kept to the microsecond
	case pgtype.TimeOID, pgtype.TimetzOID, pgtype.TimestampOID, pgtype.TimestamptzOID, pgtype.IntervalOID:
		return whole + " AND " + value + " OPERATOR(pg_catalog.!~) '[.][0-9]{6}[0-9]*[1-9]'"
	default:
		return whole
	}
}

func readStreamNames(ctx context.Context, conn *pgx.Conn, columns []Column) (map[string]string, error) {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	rows, err := conn.Query(ctx, streamNamesSQL, names)
	if err != nil {
		return nil, fmt.Errorf("reading the columns' names as the stream writes them: %w", err)
	}
	written, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		return nil, fmt.Errorf("reading the columns' names as the stream writes them: %w", err)
	}
	byName := make(map[string]string, len(columns))
	for i, name := range names {
		byName[name] = string(written[i])
	}
	return byName, nil
}
