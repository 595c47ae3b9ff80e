package replication

import (
	"context"
	_ "embed"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/postgres"
)

//go:embed publication.sql
var publicationSQL string

// createPublicationSQL is the plain publication the relay needs: no row filter and no column list, because with either
// the application's UPDATE fails as soon as it reaches outside the replica identity.
func createPublicationSQL(c Config, s *Source) string {
	return "CREATE PUBLICATION " + pgx.Identifier{c.Publication}.Sanitize() + " FOR TABLE " + s.Name() +
		" WITH (publish_via_partition_root = true)"
}

// ensurePublication makes the publication when it is missing and setup is auto, and refuses one that would hide rows
// from the relay or break the application. It must come before the slot: a slot cannot decode with a publication that
// did not exist yet.
func ensurePublication(ctx context.Context, conn *pgx.Conn, c Config, s *Source) error {
	exists, err := checkPublication(ctx, conn, c, s)
	if exists || err == nil || c.Setup != "auto" {
		return err
	}
	if _, err := conn.Exec(ctx, createPublicationSQL(c, s)); err != nil {
		if postgres.Code(err) == "42501" {
			return mayNotPublish(c, s)
		}
		return fmt.Errorf("creating publication %q: %w", c.Publication, err)
	}
	_, err = checkPublication(ctx, conn, c, s)
	return err
}

// checkMayPublish refuses, before anything is made, a role that may not make the publication.
func checkMayPublish(ctx context.Context, conn *pgx.Conn, c Config, s *Source) error {
	var may bool
	err := conn.QueryRow(ctx, "SELECT pg_catalog.pg_has_role(relowner, 'USAGE') AND pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') FROM pg_catalog.pg_class WHERE oid = $1",
		s.OID).Scan(&may)
	if err != nil {
		return fmt.Errorf("reading the role's rights: %w", err)
	}
	if !may {
		return mayNotPublish(c, s)
	}
	return nil
}

func mayNotPublish(c Config, s *Source) error {
	return fault.New(fault.Privilege, "the role may not create publication %q: it must own %s and have CREATE on the database", c.Publication, s.Name()).
		WithFix("as the table's owner: " + createPublicationSQL(c, s))
}

// checkPublication fills in the source's pins. It reports, with the fault, whether the publication exists: one that does and cannot be used is
// somebody's, and left to them.
func checkPublication(ctx context.Context, conn *pgx.Conn, c Config, s *Source) (exists bool, err error) {
	var oid, membership uint32
	var unidentified, versions string
	var allTables, viaRoot, allOperations, member, filtered bool
	err = conn.QueryRow(ctx, publicationSQL, c.Publication, s.Schema, s.Table).
		Scan(&oid, &allTables, &viaRoot, &allOperations, &member, &filtered, &membership, &versions, &unidentified)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, fault.New(fault.PublicationMissing, "publication %q does not exist (REPLICATION_PUBLICATION)", c.Publication).
			WithFix(createPublicationSQL(c, s))
	}
	if err != nil {
		return true, fmt.Errorf("reading publication %q: %w", c.Publication, err)
	}
	name := pgx.Identifier{c.Publication}.Sanitize()
	unsafe := func(why, fix string) (bool, error) {
		return true, fault.New(fault.PublicationUnsafe, "publication %q %s", c.Publication, why).WithFix(fix)
	}
	switch {
	case s.Partitioned && !viaRoot:
		return unsafe("publishes the partitions of "+s.Name()+" under their own names",
			"ALTER PUBLICATION "+name+" SET (publish_via_partition_root = true)")
	case !member:
		return true, fault.New(fault.PublicationMissing, "publication %q does not hold %s", c.Publication, s.Name()).
			WithFix("ALTER PUBLICATION " + name + " ADD TABLE " + s.Name())
	case allTables:
		return unsafe("is FOR ALL TABLES: in it, UPDATE and DELETE fail on every table without a primary key",
			"DROP PUBLICATION "+name+"; "+createPublicationSQL(c, s))
	case unidentified != "":
		return unsafe("holds "+unidentified+", which has no replica identity: the application's UPDATE and DELETE on it fail",
			"ALTER PUBLICATION "+name+" SET TABLE "+s.Name())
	case filtered:
		return unsafe("has a row filter: the application's UPDATE fails when the filter reaches outside the replica identity",
			"ALTER PUBLICATION "+name+" SET TABLE "+s.Name())
	case !allOperations:
		return unsafe("leaves out an operation: a row that leaves the accepted ones unseen is never announced again",
			"ALTER PUBLICATION "+name+" SET (publish = 'insert, update, delete, truncate')")
	}
	s.Pins.Publication, s.Pins.Membership, s.Pins.Versions = oid, membership, versions
	return true, checkColumnList(ctx, conn, c, s, oid)
}

// checkColumnList refuses a column list, which Postgres has from 15 on.
func checkColumnList(ctx context.Context, conn *pgx.Conn, c Config, s *Source, publication uint32) error {
	if s.ServerVersion < 150000 {
		return nil
	}
	var listed bool
	err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_catalog.pg_publication_rel WHERE prpubid = $1 AND prrelid = $2 AND prattrs IS NOT NULL)",
		publication, s.OID).Scan(&listed)
	if err != nil {
		return fmt.Errorf("reading the column list of publication %q: %w", c.Publication, err)
	}
	if listed {
		return fault.New(fault.PublicationUnsafe, "publication %q has a column list: the application's UPDATE fails when the replica identity reaches outside it", c.Publication).
			WithFix("ALTER PUBLICATION " + pgx.Identifier{c.Publication}.Sanitize() + " SET TABLE " + s.Name())
	}
	return nil
}
