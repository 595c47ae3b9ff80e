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

var (
	//go:embed publication.sql
	publicationSQL string
	//go:embed may_publish.sql
	mayPublishSQL string
)

// createPublicationSQL is the plain publication the relay needs: no row filter and no column list, because with either
// the application's UPDATE fails as soon as it reaches outside the replica identity, and ONLY the table, because the
// tables that inherit from it may have no replica identity of their own.
func createPublicationSQL(c Config, s *Source) string {
	return "CREATE PUBLICATION " + pgx.Identifier{c.Publication}.Sanitize() + " FOR TABLE ONLY " + s.Name() +
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
	err := ask(ctx, conn, "reading the role's rights on the watched table", mayPublishSQL, []any{s.OID}, &may)
	if err != nil {
		return err
	}
	if !may {
		return mayNotPublish(c, s)
	}
	return nil
}

func mayNotPublish(c Config, s *Source) error {
	return fault.New(fault.Privilege,
		"publication %q is missing, and the role may not create it: the owner of %s may, with CREATE on the database",
		c.Publication, s.Name()).
		WithFix("as the table's owner: " + createPublicationSQL(c, s))
}

// checkPublication fills in the source's pins. It returns, with the fault, whether the publication exists: one that
// exists and cannot be used belongs to somebody, and is left alone.
func checkPublication(ctx context.Context, conn *pgx.Conn, c Config, s *Source) (exists bool, err error) {
	var p published
	err = ask(ctx, conn, fmt.Sprintf("reading publication %q", c.Publication), publicationSQL, []any{c.Publication, s.OID},
		&p.oid, &p.allTables, &p.viaRoot, &p.allOperations, &p.member, &p.filtered, &p.listed, &p.membership, &p.versions,
		&p.unidentified, &p.heir)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, fault.New(fault.PublicationMissing, "publication %q does not exist (REPLICATION_PUBLICATION)",
			c.Publication).
			WithFix(createPublicationSQL(c, s))
	}
	if err != nil {
		return true, err
	}
	if f := p.judge(c, s); f != nil {
		return true, f
	}
	s.Pins.Publication, s.Pins.Membership, s.Pins.Versions = p.oid, p.membership, p.versions
	return true, nil
}

// published is the row of publication.sql.
type published struct {
	oid, membership                           uint32
	allTables, viaRoot, allOperations, member bool
	filtered, listed                          bool
	versions, unidentified, heir              string
}

// judge returns the fault for which the publication cannot be used; nil: it can.
func (p published) judge(c Config, s *Source) *fault.Fault {
	name := pgx.Identifier{c.Publication}.Sanitize()
	unsafe := func(why, fix string) *fault.Fault {
		return fault.New(fault.PublicationUnsafe, "publication %q %s", c.Publication, why).WithFix(fix)
	}
	setTable := "ALTER PUBLICATION " + name + " SET TABLE ONLY " + s.Name()
	remake := "DROP PUBLICATION " + name + "; " + createPublicationSQL(c, s)
	switch {
	case s.Partitioned && !p.viaRoot:
		return unsafe("publishes the partitions of "+s.Name()+" under their own names",
			"ALTER PUBLICATION "+name+" SET (publish_via_partition_root = true)")
	case !p.member:
		return fault.New(fault.PublicationMissing, "publication %q does not hold %s", c.Publication, s.Name()).
			WithFix("ALTER PUBLICATION " + name + " ADD TABLE ONLY " + s.Name())
	case p.allTables:
		return unsafe("is FOR ALL TABLES: in it, UPDATE and DELETE fail on every table without a primary key", remake)
	case p.membership == 0:
		return unsafe("holds "+s.Name()+" only with its whole schema or the table that it is a partition of: "+
			"in it, UPDATE and DELETE fail on every table that has no primary key", remake)
	case p.heir != "":
		return unsafe("also holds "+p.heir+", which inherits from "+s.Name()+
			": without a replica identity of its own, the application's UPDATE and DELETE on it fail", setTable)
	case p.unidentified != "":
		return unsafe("holds "+p.unidentified+", which has no replica identity: the application's UPDATE and DELETE on it "+
			"fail until it has a primary key or, if it is not the watched table, is taken out", setTable)
	case p.filtered:
		return unsafe("has a row filter: the application's UPDATE fails when the filter reaches outside the replica identity",
			setTable)
	case p.listed:
		return unsafe("has a column list: the application's UPDATE fails when the replica identity reaches outside it",
			setTable)
	case !p.allOperations:
		return unsafe("leaves out an operation: a row that leaves the accepted ones unseen is never announced again",
			"ALTER PUBLICATION "+name+" SET (publish = 'insert, update, delete, truncate')")
	}
	return nil
}
