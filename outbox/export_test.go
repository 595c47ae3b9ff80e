package outbox

// SetSpoolBatch makes the steps of a large transaction small.
func (r *Recorder) SetSpoolBatch(rows int) { r.spoolBatch = rows }

// ClaimLock is the lock under which claims take turns.
const ClaimLock int64 = claimLock
