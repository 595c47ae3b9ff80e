package replication

import (
	"context"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/fault"
)

// Recorder makes the stream durable. Commits that it has stored are confirmed to Postgres and never sent again.
type Recorder interface {
	// Resume finishes what a predecessor's crash left half done. It comes before everything else, and may take long.
	Resume(ctx context.Context) error
	// Prepare works out the result of recording the commits, in order. It stores nothing yet. It is called while the
	// Recording before is being stored, and waits for that Recording where it depends on it. Recordings are stored in the
	// order in which they were prepared; those left when one fails are dropped, and Resume is called again before another
	// Prepare.
	Prepare(ctx context.Context, commits []Commit) (Recording, error)
	// Advance moves the checkpoint to an LSN at which nothing is open and nothing is left to record.
	Advance(ctx context.Context, to pglogrepl.LSN) error
}

// Recording stores what was prepared; the last commit's EndLSN becomes the checkpoint. A part of a large transaction
// (More) is kept aside until the last part arrives and moves nothing. An error leaves the bookkeeping as it was, and
// the stream is read again from the checkpoint.
type Recording func(ctx context.Context) error

// Bookkeeping is what outlives a process: how far capture has come in this database, and which rows were accepted then.
type Bookkeeping interface {
	Books
	Baseline
	Reconciler
}

// Books say how far capture has come.
type Books interface {
	// Exist reports whether the bookkeeping was made before: if not, this is a first start.
	Exist(ctx context.Context) (bool, error)
	// Open prepares the bookkeeping for this source, or refuses with a fault before it touches anything.
	Open(ctx context.Context, cluster Cluster, source *Source) (Position, error)
	// Lead makes this process the only one that may record, ends what its predecessor left open, and returns where to
	// go on.
	Lead(ctx context.Context) (Position, error)
}

// Baseline brings ledger and table together at the start of a slot: on a first start, and after a loss, when the ledger
// shows what was accepted before.
type Baseline interface {
	// Begin stores the phase before its slot is made. lost says why the stream cannot be read on from the checkpoint; nil:
	// nothing was recorded yet, or the loss is stored already.
	Begin(ctx context.Context, phase Phase, lost *fault.Fault) error
	// Miss stores that the bookkeeping is new although the stream was read before from that position on, or waits to be
	// read: rows that the first baseline shows may have been accepted since.
	Miss(ctx context.Context, reason Missing, from pglogrepl.LSN) error
	// Take compares ledger and table in the snapshot that belongs to start (an empty name: an ordinary one), stores the
	// difference and the phase streaming, and closes the gap, in one transaction.
	Take(ctx context.Context, start pglogrepl.LSN, snapshot string) error
}

// Reconciler compares ledger and table while the stream runs, for changes that it does not carry.
type Reconciler interface {
	// Compare looks for rows that are in one of the two only, and returns the look's number and how many it found, at most
	// CompareLimit. A look ends an earlier one.
	Compare(ctx context.Context, conn *pgx.Conn) (look int64, found int, err error)
	// Reconcile records the result of a look. It is called when everything is recorded that was committed before the look
	// ended. done is false when there may be more to find.
	Reconcile(ctx context.Context, look int64) (done bool, err error)
}

// Cluster names the database that is captured.
type Cluster struct {
	SystemID string
	Database string
	// WAL is where the server's WAL ended at the time.
	WAL pglogrepl.LSN
}

// Phase is how far a first start, or a new start after a loss, has advanced. It is stored before the step that it
// names, so that the next start notices a crash in the step.
type Phase string

// The phases of the bookkeeping.
const (
	// PhaseNew: nothing has been made yet.
	PhaseNew Phase = "new"
	// PhaseOwnSlot: the slot is being made by the relay; one that exists is left from a crash and made again.
	PhaseOwnSlot Phase = "own_slot"
	// PhaseGivenSlot: the slot was made by somebody else; it stays.
	PhaseGivenSlot Phase = "given_slot"
	// PhaseStreaming: the baseline is complete.
	PhaseStreaming Phase = "streaming"
)

// Position is how far the bookkeeping reaches: every transaction that ends at or before LSN is recorded.
type Position struct {
	Phase Phase
	LSN   pglogrepl.LSN
	// Pins are the objects that the stream depended on when streaming began; nil if not known.
	Pins *Pins
}

// setupLock is the advisory lock under which one process at a time makes publication, slot and baseline.
const setupLock = 0x617474656e646565

func tryLock(ctx context.Context, conn *pgx.Conn) (bool, error) {
	var got bool
	err := conn.QueryRow(ctx, "SELECT pg_catalog.pg_try_advisory_lock($1)", int64(setupLock)).Scan(&got)
	return got, err
}
