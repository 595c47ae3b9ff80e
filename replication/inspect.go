package replication

import (
	"context"
	_ "embed"
	"errors"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/postgres"
	"attendee-relay/internal/secret"
)

//go:embed cluster.sql
var clusterSQL string

// Inspector checks everything that capture depends on and reports all findings, good and bad, so that an operator fixes
// everything in one round. It changes nothing.
type Inspector struct {
	Config Config
	// URL is the direct connection string.
	URL secret.String
	// Deployment names the sessions that are ours, MaxConns is DATABASE_MAX_CONNS.
	Deployment string
	MaxConns   int
	// At is the bookkeeping's checkpoint; the zero value if there is none yet. A slot that was read before and is missing
	// now is a loss.
	At Position
}

// Inspection is what an Inspector saw.
type Inspection struct {
	Findings []fault.Finding
	// Source is the watched table; nil: it cannot be captured.
	Source *Source
	// Published and Slot: the publication and a usable slot are there.
	Published, Slot bool
	// Held: a relay of this deployment holds the slot.
	Held bool
	// Denied is the right that the role lacked for reading the watched table from the catalog; nil if none.
	Denied *fault.Fault
	// table is the state of the watched table in the catalog; nil if there is none, or the role may not ask.
	table *Source
	// publicationDenied is the same for the publication.
	publicationDenied *fault.Fault
}

func (i *Inspection) add(findings ...fault.Finding) { i.Findings = append(i.Findings, findings...) }

// fails reports whether a finding of this code fails.
func (i *Inspection) fails(code fault.Code) bool {
	for _, f := range i.Findings {
		if f.Code == code && f.Level == fault.Fail {
			return true
		}
	}
	return false
}

// Identify asks which database of which cluster conn leads to, and where its WAL ends. A standby has no answer
// (SQLSTATE 55000).
func Identify(ctx context.Context, conn *pgx.Conn) (Cluster, error) {
	var cluster Cluster
	var wal string
	err := ask(ctx, conn, "asking which cluster the database belongs to", clusterSQL, nil, &cluster.SystemID,
		&cluster.Database, &wal)
	if err == nil {
		cluster.WAL, err = pglogrepl.ParseLSN(wal)
	}
	return cluster, err
}

// Inspect runs one inspection after the other; a fault in one is a finding and does not end the list. An error means
// that the database was lost on the way; the Inspection holds the findings until then.
func (i Inspector) Inspect(ctx context.Context, conn *pgx.Conn) (*Inspection, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, checkTimeout,
		errors.New("the database did not answer the checks in time"))
	defer cancel()
	found := &Inspection{}
	err := checkServer(ctx, conn)
	if err == nil {
		found.add(fault.Passed(fault.WALLevel, "wal_level is logical"))
	}
	if _, err = found.note(err, fault.WALLevel); err != nil || found.fails(fault.InRecovery) {
		return found, err
	}
	found.add(fault.Passed(fault.EncodingUnsupported, "the database's encoding, %s, can be read as UTF-8",
		conn.PgConn().ParameterStatus("server_encoding")))
	for _, look := range []struct {
		at   string
		take func(context.Context, *pgx.Conn, *Inspection) error
		// judges are the requirements that the inspection decides, apart from the role's rights.
		judges []fault.Code
		// denied is set to a right that the inspection lacked.
		denied **fault.Fault
	}{
		{"the watched table", i.inspectTable,
			[]fault.Code{fault.SourceMissing, fault.NoReplicaIdentity, fault.RowSecurity}, &found.Denied},
		{"the columns and values of the watched table", i.inspectSource, []fault.Code{fault.SourceMissing}, &found.Denied},
		{"the publication", i.inspectPublication, []fault.Code{fault.PublicationMissing, fault.PublicationUnsafe},
			&found.publicationDenied},
		{"the tables that inherit from the watched one", i.inspectHeirs, []fault.Code{fault.Inheritance}, nil},
		{"the replication slot", i.inspectSlot, []fault.Code{fault.SlotMissing}, nil},
		{"what the stream depends on", i.inspectPins, nil, nil},
		{"the server", i.inspectServer, nil, nil},
		{"the replication connection", i.inspectWalsender, []fault.Code{fault.SenderTimeout}, nil},
	} {
		err := look.take(ctx, conn, found)
		if postgres.Code(err) == "42501" {
			err = asked(ctx, conn, "looking at "+look.at, "", err)
		}
		lacking, err := found.note(err, look.judges...)
		if err != nil {
			return found, err
		}
		if lacking != nil && look.denied != nil {
			*look.denied = lacking
		}
	}
	return found, nil
}

// note adds a fault that ended one inspection, and returns any other error. Of a missing right it returns the fault,
// and adds a line for each requirement that the inspection could not judge.
func (i *Inspection) note(err error, judges ...fault.Code) (lacking *fault.Fault, other error) {
	var f *fault.Fault
	if !errors.As(err, &f) {
		return nil, err
	}
	i.add(fault.Failed(f))
	if !errors.As(err, &fault.Denied{}) {
		return nil, nil
	}
	i.unasked(f, judges...)
	return f, nil
}

// unasked adds a line for each of these requirements, which could not be judged because of a missing right.
func (i *Inspection) unasked(lacking *fault.Fault, codes ...fault.Code) {
	for _, code := range codes {
		i.add(fault.Unasked(code, fault.Fail, lacking))
	}
}
