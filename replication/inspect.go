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

// Inspector checks everything that capture depends on and reports what it found, good and bad, so that an operator
// fixes all of it in one round. It changes nothing.
type Inspector struct {
	Config Config
	// URL is the direct connection string.
	URL secret.String
	// Deployment names the sessions that are ours, MaxConns is DATABASE_MAX_CONNS.
	Deployment string
	MaxConns   int
	// At is the bookkeeping's checkpoint; the zero value: there is none yet. A slot that it was read from before and that
	// is missing now is a loss.
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

// Inspect looks at one thing after the other; a fault in one is a finding and does not end the list. An error means
// that the database was lost on the way; what was found until then is in the Inspection.
func (i Inspector) Inspect(ctx context.Context, conn *pgx.Conn) (*Inspection, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, checkTimeout,
		errors.New("the database did not answer the checks in time"))
	defer cancel()
	found := &Inspection{}
	if err := found.step(fault.WALLevel, checkServer(ctx, conn), "wal_level is logical"); err != nil ||
		found.fails(fault.InRecovery) {
		return found, err
	}
	found.add(fault.Passed(fault.EncodingUnsupported, "the database's encoding, %s, can be read as UTF-8",
		conn.PgConn().ParameterStatus("server_encoding")))
	for _, look := range []struct {
		at   string
		take func(context.Context, *pgx.Conn, *Inspection) error
	}{
		{"the watched table and its publication", i.inspectTable}, {"the replication slot", i.inspectSlot},
		{"what the stream depends on", i.inspectPins}, {"the server", i.inspectServer},
	} {
		err := look.take(ctx, conn, found)
		if postgres.Code(err) == "42501" {
			err = asked(ctx, conn, "looking at "+look.at, "", err)
		}
		if err := found.note(err); err != nil {
			return found, err
		}
	}
	return found, i.inspectWalsender(ctx, found, roleName(conn.PgConn()))
}

// note adds a fault that ended one look, and returns any other error.
func (i *Inspection) note(err error) error {
	var f *fault.Fault
	if !errors.As(err, &f) {
		return err
	}
	i.add(fault.Failed(f))
	return nil
}

// step adds what one step of a start came to: its fault, or that it passed. Another error than a fault is the caller's.
func (i *Inspection) step(code fault.Code, err error, passed string) error {
	if err == nil {
		i.add(fault.Passed(code, "%s", passed))
	}
	return i.note(err)
}
