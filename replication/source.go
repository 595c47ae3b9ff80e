package replication

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/postgres"
)

//go:embed source.sql
var sourceSQL string

// Source is the watched table as the catalog described it when capture started.
type Source struct {
	OID    uint32
	Schema string
	Table  string
	// Partitioned: the rows lie in partitions and arrive under this table's name.
	Partitioned bool
	// Identity are the columns that identify a row in the stream, in the index's order.
	Identity []Column
	Key      Column
	Status   Column
	// Accepted are the accepted values as the type writes them: true is t for a bool.
	Accepted []string
	// labels says which labels of enums the status is made of; nil: none.
	labels *shape
	// stream says how names and accepted values are written in the stream.
	stream streamForms
	// Pins are filled in with the publication.
	Pins Pins
	// ServerVersion is server_version_num, for example 150018.
	ServerVersion int
}

// Column is a column of the watched table.
type Column struct {
	Number  int16
	Name    string
	TypeOID uint32
	Type    string
	// TypeName is the type's qualified name, without a length.
	TypeName  string
	Generated bool
	// Readable: the role has SELECT on it.
	Readable bool
	// Fixed: all its values are of one length, 64 bytes at most.
	Fixed bool
}

// Name returns the table's qualified and quoted name.
func (s *Source) Name() string { return pgx.Identifier{s.Schema, s.Table}.Sanitize() }

// From is what reads the rows that the stream carries under this table's name: not those of tables that inherit from
// it.
func (s *Source) From() string {
	if s.Partitioned {
		return s.Name()
	}
	return "ONLY " + s.Name()
}

// IdentitySQL is an expression that gives a row's identity exactly as Change carries it: the output form of the one
// column, or the row's text form; of a long one its hash (see bounded). format and ROW()::text call the types' output
// functions, as the walsender does; a cast would not (a bool's differs).
func (s *Source) IdentitySQL() string {
	names := make([]string, len(s.Identity))
	fixed := len(s.Identity) <= fixedMost
	for i, column := range s.Identity {
		names[i] = pgx.Identifier{column.Name}.Sanitize()
		fixed = fixed && column.Fixed
	}
	text := "ROW(" + strings.Join(names, ", ") + ")::text"
	if len(s.Identity) == 1 {
		text = textSQL(s.Identity[0])
	}
	if fixed {
		return text
	}
	return boundedSQL(text)
}

// KeySQL is an expression that gives SOURCE_KEY's text form, or NULL.
func (s *Source) KeySQL() string {
	name := pgx.Identifier{s.Key.Name}.Sanitize()
	return "CASE WHEN " + name + given + " THEN " + textSQL(s.Key) + " END"
}

// AcceptedSQL is a condition that holds for accepted rows; parameter is the placeholder of Accepted.
func (s *Source) AcceptedSQL(parameter string) string {
	name := pgx.Identifier{s.Status.Name}.Sanitize()
	return name + given + " AND " + textSQL(s.Status) + " = ANY (" + parameter + "::text[])"
}

// given follows a value that is there. IS NOT NULL does not hold for a row in which anything is NULL.
const given = " IS DISTINCT FROM NULL"

func textSQL(c Column) string { return "format('%s', " + pgx.Identifier{c.Name}.Sanitize() + ")" }

// ReadSource reads the watched table from the catalog and refuses, with a fault, one that cannot be captured without
// losing rows or breaking the application.
func ReadSource(ctx context.Context, conn *pgx.Conn, c Config) (*Source, error) {
	schema, table, _ := strings.Cut(c.Table, ".")
	s := &Source{Schema: schema, Table: table}
	var kind, persistence, identity string
	var identityColumns []int16
	var oddLeaves int
	var policies, mayUse bool
	err := ask(ctx, conn, "reading the watched table from the catalog", sourceSQL, []any{schema, table},
		&s.OID, &kind, &persistence, &identity, &s.ServerVersion, &identityColumns, &oddLeaves, &policies, &mayUse)
	if absent(err) {
		return nil, fault.New(fault.SourceMissing, "the watched table %s does not exist (SOURCE_TABLE)", s.Name()).
			WithFix("set SOURCE_TABLE to the table of the attendees, as schema.table in its own case, without quotes")
	}
	if err != nil {
		return nil, err
	}
	switch {
	case !mayUse:
		return nil, fault.New(fault.Privilege, "the role may not use the schema of %s", s.Name()).
			WithFix("GRANT USAGE ON SCHEMA " + pgx.Identifier{schema}.Sanitize() + " TO <the relay's role>")
	case policies:
		return nil, fault.New(fault.RowSecurity, "row level security hides rows of %s from the role", s.Name()).
			WithFix("ALTER ROLE CURRENT_USER BYPASSRLS")
	}
	if err := s.streamable(kind, persistence, identity != "n" && len(identityColumns) > 0 && oddLeaves == 0); err != nil {
		return nil, err
	}
	s.Partitioned = kind == "p"
	columns, err := s.readColumns(ctx, conn, identityColumns, c)
	if err != nil {
		return nil, err
	}
	if s.Identity, err = numbered(columns, identityColumns, s.Name()); err != nil {
		return nil, err
	}
	if err := s.identityStreams(); err != nil {
		return nil, err
	}
	if s.Key, err = findColumn(columns, "SOURCE_KEY", c.Key, s.Name()); err != nil {
		return nil, err
	}
	if s.Status, err = findColumn(columns, "SOURCE_STATUS", c.Status, s.Name()); err != nil {
		return nil, err
	}
	for _, column := range append([]Column{s.Key, s.Status}, s.Identity...) {
		if !column.Readable {
			return nil, fault.New(fault.Privilege, "the role may not read column %q of %s", column.Name, s.Name()).
				WithFix("GRANT SELECT ON " + s.Name() + " TO <the relay's role>")
		}
	}
	if err := s.readValues(ctx, conn, c.Accepted); err != nil {
		return nil, err
	}
	s.Pins = s.pin()
	s.Pins.Slot = c.Slot
	return s, nil
}

// streamable refuses what gives no stream of rows that can be told apart.
func (s *Source) streamable(kind, persistence string, identified bool) error {
	switch {
	case kind != "r" && kind != "p":
		return fault.New(fault.SourceMissing, "%s is not a table (SOURCE_TABLE)", s.Name())
	case persistence != "p":
		return fault.New(fault.SourceMissing, "%s is an unlogged or temporary table: its changes are not in the WAL",
			s.Name()).
			WithFix("ALTER TABLE " + s.Name() + " SET LOGGED")
	case !identified:
		return fault.New(fault.NoReplicaIdentity,
			"%s has no immediate primary key, or it or one of its partitions has another REPLICA IDENTITY: in a publication "+
				"the application's own UPDATE and DELETE would fail", s.Name()).
			WithFix("ALTER TABLE " + s.Name() + " ADD PRIMARY KEY (id); ALTER TABLE " + s.Name() + " REPLICA IDENTITY DEFAULT")
	}
	return nil
}

// identityStreams refuses an identity that the stream does not carry as a whole: no row could be told from another.
func (s *Source) identityStreams() error {
	for _, column := range s.Identity {
		if column.Generated {
			return fault.New(fault.NoReplicaIdentity,
				"column %q of the primary key or REPLICA IDENTITY of %s is generated: the stream does not carry it",
				column.Name, s.Name()).
				WithFix("ALTER TABLE " + s.Name() + " REPLICA IDENTITY USING INDEX <a unique index on ordinary NOT NULL columns>")
		}
	}
	return nil
}

// absent reports whether a look-up by name found nothing, or the name has characters that the database's encoding
// lacks.
func absent(err error) bool { return errors.Is(err, pgx.ErrNoRows) || postgres.Unconvertible(err) }

// numbered picks columns by their numbers, which another statement read: the two may have seen two catalogs.
func numbered(columns []Column, numbers []int16, table string) ([]Column, error) {
	var picked []Column
	for _, number := range numbers {
		at := slices.IndexFunc(columns, func(c Column) bool { return c.Number == number })
		if at < 0 {
			return nil, fmt.Errorf("reading the columns of %s from the catalog: the table was altered or dropped meanwhile",
				table)
		}
		picked = append(picked, columns[at])
	}
	return picked, nil
}

func findColumn(columns []Column, variable, name, table string) (Column, error) {
	at := slices.IndexFunc(columns, func(c Column) bool { return c.Name == name })
	if at < 0 {
		return Column{}, fault.New(fault.SourceMissing, "%s has no column %q (%s)", table, name, variable).
			WithFix("set " + variable + " to a column of the table, in its own case, without quotes")
	}
	if columns[at].Generated {
		return Column{}, fault.New(fault.SourceMissing, "column %q of %s is generated: the stream does not carry it (%s)",
			name, table, variable).
			WithFix("set " + variable + " to an ordinary column")
	}
	return columns[at], nil
}
