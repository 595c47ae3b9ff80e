package replication

import (
	"time"

	"github.com/jackc/pglogrepl"
)

// Commit is one committed transaction's changes to the watched table, in the order in which they were made.
//
// A transaction of more than PartSize changes is not held in memory: it arrives as several parts, all but the last of
// them with More set and without EndLSN. CommitLSN, Time and XID are known from the first part on, because the server
// sends a transaction only after it committed.
type Commit struct {
	// CommitLSN is where the commit record starts; it names the transaction.
	CommitLSN pglogrepl.LSN
	// EndLSN is the first position after the transaction; a checkpoint may only be such an end.
	EndLSN pglogrepl.LSN
	// Time is the commit's, by the server's clock.
	Time time.Time
	// XID is the transaction's 32-bit id; a visibility test has to add the epoch.
	XID     uint32
	Changes []Change
	// Part numbers the parts of a transaction, from 0; More says that another one follows.
	Part int
	More bool
}

// PartSize is how many changes of one transaction are held in memory at most, unless a test changes it. One with long
// texts counts as several.
const PartSize = 10_000

// Op is the kind of a change.
type Op uint8

// The kinds of change that pgoutput sends.
const (
	Insert Op = iota + 1
	Update
	Delete
	Truncate
)

// Change is one change to one watched row, or the emptying of the whole table.
type Change struct {
	Op Op
	// Identity is the row's identity after the change; for Delete before it; empty for Truncate.
	Identity string
	// Previous is the identity before an Update, mostly the same.
	Previous string
	// Key is SOURCE_KEY's value after an Insert or Update.
	Key Value
	// Status says what the status column holds after an Insert or Update.
	Status Status
}

// changeBytes is how many bytes of text weigh as much as a change itself. Few changes have as much.
const changeBytes = 512

// weight is what a change takes of memory, in changes with little text.
func (c *Change) weight() int {
	return 1 + (len(c.Identity)+len(c.Previous)+len(c.Key.Text))/changeBytes
}

// Value is a column's value in text form.
type Value struct {
	Text string
	Kind ValueKind
}

// ValueKind tells a text from NULL and from what the stream leaves out.
type ValueKind uint8

// The kinds of value in a tuple.
const (
	// Unchanged: a TOASTed value that the statement did not touch is not in the stream.
	Unchanged ValueKind = iota
	Null
	Present
)

// TextValue is a value that is present.
func TextValue(text string) Value { return Value{Text: text, Kind: Present} }

// Status is what a row's status column says.
type Status uint8

// The answers of the status column.
const (
	// StatusUnchanged: the stream left the value out because the statement did not touch it.
	StatusUnchanged Status = iota
	NotAccepted
	Accepted
)
