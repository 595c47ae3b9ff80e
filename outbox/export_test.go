package outbox

import "time"

// SetSpoolBatch makes the steps of a large transaction small.
func (r *Recorder) SetSpoolBatch(rows int) { r.spoolBatch = rows }

// SetWriteTimeout bounds one transaction of the writer.
func (r *Recorder) SetWriteTimeout(d time.Duration) { r.writer.limit = d }

// SetTurnPatience has claims wait for their turn as long as the test needs.
func (q *Queue) SetTurnPatience(d time.Duration) { q.turnPatience = d }

// ClaimLock is the lock under which claims take turns.
const ClaimLock int64 = claimLock

// Storable is storable, for tests in a database.
func Storable(encoding, text string) string { return storable(encoding, text) }

// Hold keeps the Resolver's reader until release is called, as a call that does not return does.
func (v *Resolver) Hold() (release func()) {
	v.reader.turn <- struct{}{}
	return func() { <-v.reader.turn }
}
