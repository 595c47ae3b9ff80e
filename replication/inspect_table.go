package replication

import (
	"context"
	_ "embed"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/fault"
)

//go:embed inspect_table.sql
var inspectTableSQL string

// tableState is the row of inspect_table.sql.
type tableState struct {
	oid               uint32
	kind, persistence string
	version           int
	unidentified      bool
	identify          string
	policies          bool
	mayUse, maySelect bool
}

// inspectTable judges the watched table, each requirement of its own.
func (i Inspector) inspectTable(ctx context.Context, conn *pgx.Conn, found *Inspection) error {
	schema, table, _ := strings.Cut(i.Config.Table, ".")
	name, role := pgx.Identifier{schema, table}.Sanitize(), roleName(conn.PgConn())
	var s tableState
	err := ask(ctx, conn, "reading the watched table from the catalog", inspectTableSQL,
		[]any{schema, table, i.Config.Key, i.Config.Status},
		&s.oid, &s.kind, &s.persistence, &s.version, &s.unidentified, &s.identify, &s.policies, &s.mayUse, &s.maySelect)
	if err != nil && !absent(err) {
		return err
	}
	if s.kind == "r" || s.kind == "p" {
		found.add(s.findings(name, schema, role)...)
		found.table = &Source{OID: s.oid, Schema: schema, Table: table, Partitioned: s.kind == "p", ServerVersion: s.version}
	}
	return nil
}

// inspectSource judges the watched table by the same check as run: no table may pass here that run refuses.
func (i Inspector) inspectSource(ctx context.Context, conn *pgx.Conn, found *Inspection) error {
	source, err := ReadSource(ctx, conn, i.Config)
	if err == nil {
		found.Source = source
		found.add(fault.Passed(fault.SourceMissing, "%s has the columns and values that are watched", source.Name()))
		return nil
	}
	var f *fault.Fault
	if errors.As(err, &f) && !errors.As(err, &fault.Denied{}) && found.fails(f.Code) {
		return nil // said already
	}
	return err
}

func (s tableState) findings(name, schema, role string) []fault.Finding {
	judge := func(holds bool, f *fault.Fault, passed string) fault.Finding {
		if holds {
			return fault.Passed(f.Code, "%s %s", name, passed)
		}
		return fault.Failed(f)
	}
	var grants []string
	if !s.mayUse {
		grants = append(grants, "GRANT USAGE ON SCHEMA "+pgx.Identifier{schema}.Sanitize()+" TO "+role)
	}
	if !s.maySelect {
		grants = append(grants, "GRANT SELECT ON "+name+" TO "+role)
	}
	return []fault.Finding{
		judge(s.persistence == "p",
			fault.New(fault.SourceMissing, "%s is an unlogged or temporary table: its changes are not in the WAL", name).
				WithFix("ALTER TABLE "+name+" SET LOGGED"), "is written to the WAL"),
		judge(!s.unidentified,
			fault.New(fault.NoReplicaIdentity, "%s has no immediate primary key, or it or one of its partitions has another "+
				"REPLICA IDENTITY: in a publication the application's own UPDATE and DELETE would fail", name).
				WithFix(s.identify), "has a primary key that identifies its rows in the stream"),
		judge(!s.policies,
			fault.New(fault.RowSecurity, "row level security hides rows of %s from the role", name).
				WithFix("ALTER ROLE "+role+" BYPASSRLS"), "shows all of its rows to the role"),
		judge(len(grants) == 0,
			fault.New(fault.Privilege, "the role may not read %s", name).WithFix(strings.Join(grants, "; ")),
			"can be read by the role"),
	}
}
