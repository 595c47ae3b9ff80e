package replication

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pglogrepl"
)

// assembler turns pgoutput messages into commits, or parts of large ones. It holds at most one open transaction.
type assembler struct {
	source   *Source
	accepted map[string]bool
	layout   *layout
	open     *Commit
	partSize int
	// weight is that of the open transaction's changes.
	weight int
	change rowMessage
}

// layout says at which places of a tuple the columns stand that are read.
type layout struct {
	identity []int
	key      int
	status   int
}

func newAssembler(source *Source, partSize int) *assembler {
	accepted := make(map[string]bool, len(source.stream.accepted))
	for _, form := range source.stream.accepted {
		accepted[form] = true
	}
	return &assembler{source: source, accepted: accepted, partSize: partSize}
}

// inTransaction reports whether a transaction has begun and not ended.
func (a *assembler) inTransaction() bool { return a.open != nil }

// take reads one message. It returns a commit when the message ends one, a part when the open transaction has grown to
// PartSize changes, and else nil.
func (a *assembler) take(data []byte) (*Commit, error) {
	if op := rowOp(data); op != 0 {
		if err := a.change.read(op, data); err != nil {
			return nil, fmt.Errorf("parsing a message of the stream: %w", err)
		}
		part, err := a.row(&a.change)
		if len(data) > longMessage {
			a.change.forget()
		}
		return part, err
	}
	message, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("parsing a message of the stream: %w", err)
	}
	switch m := message.(type) {
	case *pglogrepl.BeginMessage:
		a.open, a.weight = &Commit{CommitLSN: m.FinalLSN, Time: m.CommitTime, XID: m.Xid}, 0
		return nil, nil
	case *pglogrepl.OriginMessage:
		if a.open != nil {
			a.open.origin = true
		}
		return nil, nil
	case *pglogrepl.CommitMessage:
		return a.commit(m)
	case *pglogrepl.RelationMessage:
		return nil, a.relation(m)
	case *pglogrepl.TruncateMessage:
		return a.truncate(m)
	default:
		return nil, nil // types and others: nothing that is read here
	}
}

// parse turns the panic with which the library meets a message that is cut short into an error.
func parse(data []byte) (message pglogrepl.Message, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("it is malformed: %v", r)
		}
	}()
	return pglogrepl.Parse(data)
}

func (a *assembler) commit(m *pglogrepl.CommitMessage) (*Commit, error) {
	done := a.open
	if done == nil {
		return nil, fmt.Errorf("the stream has a commit at %s without its begin", m.CommitLSN)
	}
	a.open = nil
	done.EndLSN = m.TransactionEndLSN
	return done, nil
}

// relation checks that the stream describes the columns that the catalog showed. A difference means that the table was
// altered: nothing after it is understood until the source has been read again.
func (a *assembler) relation(m *pglogrepl.RelationMessage) error {
	if m.RelationID != a.source.OID {
		return nil
	}
	find := func(want Column) (int, error) {
		name := a.source.stream.name(want.Name)
		at := slices.IndexFunc(m.Columns, func(c *pglogrepl.RelationMessageColumn) bool { return c.Name == name })
		if at < 0 {
			return 0, newDrift("column %q of %s is no longer in the stream: it was renamed, dropped or left out of the "+
				"publication", want.Name, a.source.Name())
		}
		if m.Columns[at].DataType != want.TypeOID {
			return 0, newDrift("column %q of %s has another type in the stream than in the catalog", want.Name, a.source.Name())
		}
		return at, nil
	}
	l := &layout{}
	var err error
	for _, column := range a.source.Identity {
		at, err := find(column)
		if err != nil {
			return err
		}
		l.identity = append(l.identity, at)
	}
	if l.key, err = find(a.source.Key); err != nil {
		return err
	}
	if l.status, err = find(a.source.Status); err != nil {
		return err
	}
	a.layout = l
	return nil
}

func (a *assembler) truncate(m *pglogrepl.TruncateMessage) (*Commit, error) {
	if !slices.Contains(m.RelationIDs, a.source.OID) {
		return nil, nil
	}
	return a.add(Change{Op: Truncate})
}

func (a *assembler) row(m *rowMessage) (*Commit, error) {
	if m.relation != a.source.OID {
		return nil, nil
	}
	if a.layout == nil {
		return nil, fmt.Errorf("the stream has a change of %s before its description", a.source.Name())
	}
	change := Change{Op: m.op}
	var err error
	if m.op == Delete {
		change.Identity, err = a.identity(m.before, nil)
		if err != nil {
			return nil, err
		}
		return a.add(change)
	}
	if change.Identity, err = a.identity(m.after, m.before); err != nil {
		return nil, err
	}
	if m.before != nil {
		change.Previous, err = a.identity(m.before, nil)
		if err != nil {
			return nil, err
		}
	} else if m.op == Update {
		change.Previous = change.Identity
	}
	key, err := m.after.field(a.layout.key, m.before)
	if err != nil {
		return nil, err
	}
	change.Key = key.value()
	status, err := m.after.field(a.layout.status, m.before)
	if err != nil {
		return nil, err
	}
	if change.Status, err = a.status(status); err != nil {
		return nil, err
	}
	return a.add(change)
}

// status says whether a row with this status is accepted.
func (a *assembler) status(f field) (Status, error) {
	switch {
	case f.kind == pglogrepl.TupleDataTypeToast:
		return StatusUnchanged, nil
	case f.kind != pglogrepl.TupleDataTypeText:
		return NotAccepted, nil
	case a.accepted[string(f.text)]:
		return Accepted, nil
	case a.source.knows(string(f.text)):
		return NotAccepted, nil
	default:
		d := newDrift("the status of %s has a value that its type did not have when the catalog was read: a value was "+
			"added or renamed", a.source.Name())
		d.status = string(f.text)
		return NotAccepted, d
	}
}

// knows reports whether the catalog showed all labels in a status, as the stream writes it: a renamed accepted value
// looks like one that is not accepted.
func (s *Source) knows(status string) bool {
	known := true
	s.labels.each(status, func(_ string, oid uint32) { known = known && oid != 0 })
	return known
}

func (a *assembler) add(change Change) (*Commit, error) {
	if a.open == nil {
		return nil, fmt.Errorf("the stream has a change of %s outside a transaction", a.source.Name())
	}
	a.open.Changes = append(a.open.Changes, change)
	if a.weight += change.weight(); a.weight < a.partSize {
		return nil, nil
	}
	part := *a.open
	part.More = true
	a.open.Changes, a.weight = nil, 0
	a.open.Part++
	return &part, nil
}

// identity returns the row's identity in the form of Source.IdentitySQL.
func (a *assembler) identity(row, old *tuple) (string, error) {
	fields := make([]string, len(a.layout.identity))
	for i, at := range a.layout.identity {
		f, err := row.field(at, old)
		if err != nil {
			return "", err
		}
		if f.kind != pglogrepl.TupleDataTypeText {
			return "", newDrift("a change of %s has no value for its identity column %q: its REPLICA IDENTITY was changed",
				a.source.Name(), a.source.Identity[i].Name)
		}
		fields[i] = string(f.text)
	}
	if len(fields) == 1 {
		return bounded(fields[0]), nil
	}
	return bounded(rowText(fields)), nil
}

// rowText writes fields as Postgres writes a row: record_out of PostgreSQL 14-18 quotes a field that is empty or holds
// a quote, a backslash, a parenthesis, a comma or white space, and doubles quotes and backslashes in it.
func rowText(fields []string) string {
	var b strings.Builder
	b.WriteByte('(')
	for i, field := range fields {
		if i > 0 {
			b.WriteByte(',')
		}
		if field != "" && !strings.ContainsAny(field, "\"\\(), \t\n\r\v\f") {
			b.WriteString(field)
			continue
		}
		b.WriteByte('"')
		for _, c := range []byte(field) {
			if c == '"' || c == '\\' {
				b.WriteByte(c)
			}
			b.WriteByte(c)
		}
		b.WriteByte('"')
	}
	b.WriteByte(')')
	return b.String()
}
