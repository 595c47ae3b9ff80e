package replication

import (
	"context"
	_ "embed"
	"fmt"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/postgres"
)

//go:embed columns.sql
var columnsSQL string

// readColumns reads the columns that capture reads: the identity's, by their numbers, the key and the status. It
// refuses a column whose name or type no statement could contain: a SQL_ASCII database holds names in any encoding.
func (s *Source) readColumns(
	ctx context.Context, conn *pgx.Conn, identity []int16, c Config,
) (columns []Column, err error) {
	err = postgres.Names(ctx, conn, columnsSQL, []any{s.OID, identity, []string{c.Key, c.Status}},
		func(rows pgx.Rows) error {
			columns, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Column])
			return err
		})
	if postgres.Unconvertible(err) {
		return nil, s.unwritable(ctx, conn, c)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the watched table's columns: %w", err)
	}
	for _, column := range columns {
		if !utf8.ValidString(column.Name + column.Type + column.TypeName) {
			return nil, fault.New(fault.SourceMissing, "column %s of %s, of type %s, cannot be read: its name or its type's "+
				"is not UTF-8, so that no statement can name it",
				postgres.Legible(column.Name), s.Name(), postgres.Legible(column.Type)).
				WithFix("SET client_encoding = SQL_ASCII; ALTER TABLE " + s.Name() + " RENAME COLUMN ... TO ...; -- or " +
					"ALTER TYPE ... RENAME TO ...")
		}
	}
	return columns, nil
}

// unwritable returns a fault about the variable whose characters the database's encoding lacks: no column can have that
// name.
func (s *Source) unwritable(ctx context.Context, conn *pgx.Conn, c Config) error {
	for _, v := range []struct{ variable, name string }{{"SOURCE_KEY", c.Key}, {"SOURCE_STATUS", c.Status}} {
		if _, err := readStreamNames(ctx, conn, []Column{{Name: v.name}}); postgres.Unconvertible(err) {
			_, err = findColumn(nil, v.variable, v.name, s.Name())
			return err
		}
	}
	return fmt.Errorf("reading the columns of %s: a name cannot be converted", s.Name())
}
