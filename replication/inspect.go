package replication

import (
	"context"
	"errors"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/postgres"
	"attendee-relay/internal/secret"
)

// Inspector looks at everything that capture rests on and says what it found, the good and the bad, so that an operator
// mends all of it in one round. It changes nothing.
type Inspector struct {
	Config Config
	// URL is the direct connection string.
	URL secret.String
	// Deployment names the sessions that are ours, MaxConns is DATABASE_MAX_CONNS.
	Deployment string
	MaxConns   int
	// At is where the bookkeeping stands; the zero value: there is none yet. A slot that it was read from before and that is
	// missing now is a loss.
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

// Identify asks which database of which cluster conn leads to, and where its WAL ends. A standby has no answer.
func Identify(ctx context.Context, conn *pgx.Conn) (Cluster, error) {
	server, err := readServer(ctx, conn, "", "")
	return server.cluster, err
}

// Inspect looks. An error means that the database was lost on the way; what was found until then stands in the Inspection.
func (i Inspector) Inspect(ctx context.Context, conn *pgx.Conn) (*Inspection, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, checkTimeout, errors.New("the database did not answer the checks in time"))
	defer cancel()
	found := &Inspection{}
	if err := found.step(fault.WALLevel, checkServer(ctx, conn), "wal_level is logical"); err != nil || found.fails(fault.InRecovery) {
		return found, err
	}
	server, err := readServer(ctx, conn, i.Config.Slot, "attendee-relay/"+i.Deployment+" ")
	if err != nil {
		return found, err
	}
	if err := i.inspectTable(ctx, conn, found); err != nil {
		return found, err
	}
	if err := i.inspectSlot(ctx, conn, found); err != nil {
		return found, err
	}
	i.inspectPins(found)
	found.add(i.serverFindings(server, found, roleName(conn.PgConn()))...)
	return found, i.inspectWalsender(ctx, found, roleName(conn.PgConn()))
}

// step adds what one step of a start came to: its fault, or that it passed. Another error than a fault is the caller's.
func (i *Inspection) step(code fault.Code, err error, passed string) error {
	var f *fault.Fault
	switch {
	case err == nil:
		i.add(fault.Passed(code, "%s", passed))
	case errors.As(err, &f):
		i.add(fault.Failed(f))
	default:
		return err
	}
	return nil
}

// serverState is the row of inspect_server.sql.
type serverState struct {
	cluster                        Cluster
	walKeep                        string
	idleTimeout                    int64
	idleTimeoutText                string
	standbyNames                   string
	standbyConnected, mayReadStats bool
	standbySlotsDown               string
	prepared                       string
	preparedCount                  int64
	slots, maxSlots                int64
	senders, maxSenders            int64
	sessions, ours, maxConnections int64
	roleLimit                      int64
	slotExists, slotActive         bool
}

func readServer(ctx context.Context, conn *pgx.Conn, slot, name string) (serverState, error) {
	var s serverState
	var wal string
	err := conn.QueryRow(ctx, inspectServerSQL, slot, name).Scan(&s.cluster.SystemID, &s.cluster.Database, &wal, &s.walKeep, &s.idleTimeout,
		&s.idleTimeoutText, &s.standbyNames, &s.standbyConnected, &s.mayReadStats, &s.standbySlotsDown, &s.prepared, &s.preparedCount, &s.slots, &s.maxSlots,
		&s.senders, &s.maxSenders, &s.sessions, &s.ours, &s.maxConnections, &s.roleLimit, &s.slotExists, &s.slotActive)
	if err != nil {
		return s, postgres.Safe(err)
	}
	s.cluster.WAL, err = pglogrepl.ParseLSN(wal)
	return s, err
}
