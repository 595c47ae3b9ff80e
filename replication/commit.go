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
	// Time is when it was committed, by the server's clock. A commit that came from another server (a replication
	// origin) carries that server's time: then this is when our server sent it. Nothing waits by it.
	Time time.Time
	// Stamp is the time in the commit record, on which message ids rest, where it is not Time; else zero.
	Stamp time.Time
	// Local is Time by this process's clock; zero: not known.
	Local time.Time
	// origin: the stream said that the commit came from another server.
	origin bool
	// XID is the transaction's 32-bit id; a visibility test has to add the epoch.
	XID     uint32
	Changes []Change
	// Part numbers the parts of a transaction, from 0; More says that another one follows.
	Part int
	More bool
}

// date gives a commit its times: sent is when the server sent it, by its clock, and now is by ours. The commit
// record's time is not believed where another server stamped it (pg_replication_origin_xact_setup, apply workers),
// nor where it lies ahead of the server's own clock, which was set back.
func (c *Commit) date(sent, now time.Time) {
	if c.origin || c.Time.After(sent) {
		c.Stamp, c.Time = c.Time, sent
	}
	c.Local = now.Add(c.Time.Sub(sent))
}

// local is when the commit was by this process's clock.
func (c *Commit) local() time.Time {
	if c.Local.IsZero() {
		return c.Time
	}
	return c.Local
}

// Stamped is the time that the commit record carries.
func (c *Commit) Stamped() time.Time {
	if c.Stamp.IsZero() {
		return c.Time
	}
	return c.Stamp
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
