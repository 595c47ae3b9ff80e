package replication

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

var (
	//go:embed made_of.sql
	madeOfSQL string
	//go:embed labels.sql
	labelsSQL string
)

// shape describes how the text of a type is built from the labels of enums.
type shape struct {
	// kind is the catalog's typtype, or a for an array.
	kind  string
	parts []*shape
	// labels are those of an enum, as the stream writes them, with their oids.
	labels map[string]uint32
}

// readShape reads the parts of a type.
func readShape(ctx context.Context, conn *pgx.Conn, column Column) (*shape, error) {
	fails := func(err error) error { return fmt.Errorf("reading the values of column %q: %w", column.Name, err) }
	rows, err := conn.Query(ctx, madeOfSQL, column.TypeOID)
	if err != nil {
		return nil, fails(err)
	}
	shapes := map[uint32]*shape{0: {}}
	of := func(oid uint32) *shape {
		if shapes[oid] == nil {
			shapes[oid] = &shape{}
		}
		return shapes[oid]
	}
	var whole, part uint32
	var kind string
	var enums []uint32
	_, err = pgx.ForEachRow(rows, []any{&whole, &part, &kind}, func() error {
		of(part).kind = kind
		of(whole).parts = append(of(whole).parts, of(part))
		if kind == "e" {
			enums = append(enums, part)
			of(part).labels = map[string]uint32{}
		}
		return nil
	})
	if err != nil {
		return nil, fails(err)
	}
	if len(enums) == 0 || len(shapes[0].parts) == 0 {
		return nil, nil
	}
	if rows, err = conn.Query(ctx, labelsSQL, enums); err != nil {
		return nil, fails(err)
	}
	var enum, oid uint32
	var label []byte
	_, err = pgx.ForEachRow(rows, []any{&enum, &label, &oid}, func() error {
		of(enum).labels[string(label)] = oid
		return nil
	})
	if err != nil {
		return nil, fails(err)
	}
	return shapes[0].parts[0], nil
}

// each calls found with each label in a text of the type: its oid, or 0 if the enum has no such label.
func (s *shape) each(text string, found func(label string, oid uint32)) {
	if s == nil {
		return
	}
	pieces, parts := []piece(nil), s.parts
	switch s.kind {
	case "e":
		found(text, s.labels[text])
		return
	case "d":
		pieces = []piece{{text: text, there: true}}
	case "a":
		pieces = elements(text)
	case "c":
		pieces = split(inside(text), ",")
	case "r":
		pieces = split(inside(text), ",") // the range empty has no bounds, so no piece remains
	case "m":
		pieces, parts = split(inside(text), "[](),"), parts[0].parts // the bounds of all its ranges
	}
	for i, p := range pieces {
		if at := min(i, len(parts)-1); p.there && at >= 0 {
			parts[at].each(p.text, found)
		}
	}
}

// piece is a part of a text. It is not there if it is NULL, or if nothing is between two separators.
type piece struct {
	text  string
	there bool
}

// elements returns those of an array in text form, of all its dimensions (array_out, PostgreSQL 14-18). The text may
// begin with the bounds, as in [0:1]={a,b}.
func elements(text string) []piece {
	pieces := split(text[max(0, strings.IndexByte(text, '{')):], "{},")
	for i, p := range pieces {
		pieces[i].there = p.there && p.text != unquotedNull
	}
	return pieces
}

// unquotedNull is the text that split returns for a NULL without quotes; a label cannot hold it.
const unquotedNull = "\x00"

// inside returns a text without its brackets.
func inside(text string) string {
	if len(text) < 2 || !strings.ContainsRune("([{", rune(text[0])) {
		return ""
	}
	return text[1 : len(text)-1]
}

// split cuts a text at separators that are not quoted, and removes quotation marks and backslashes: in quotes both are
// doubled or follow a backslash (array_out, record_out and range_out, PostgreSQL 14-18).
func split(text, separators string) (pieces []piece) {
	var b strings.Builder
	quoted, wasQuoted := false, false
	end := func() {
		p := piece{text: b.String(), there: wasQuoted || b.Len() > 0}
		if !wasQuoted && p.text == "NULL" && separators == "{}," {
			p.text = unquotedNull
		}
		pieces = append(pieces, p)
		b.Reset()
		wasQuoted = false
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text), c == '"' && quoted && i+1 < len(text) && text[i+1] == '"':
			i++
			b.WriteByte(text[i])
		case c == '"':
			quoted, wasQuoted = !quoted, true
		case !quoted && strings.IndexByte(separators, c) >= 0:
			end()
		default:
			b.WriteByte(c)
		}
	}
	end()
	return pieces
}
