package replication

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pglogrepl"

	"attendee-relay/internal/fault"
)

// tasks are the parts of capture that the fault board watches. Hanging calls show by themselves. Errors end the stream,
// and a new stream reads again from the checkpoint. It is not progress that it started, or recorded again what was
// recorded before: a failure is over when the stream has passed the place of the failure.
type tasks struct {
	// capturing is the whole: getting hold of the slot, and every error that ended a stream.
	capturing *fault.Task
	// preparing and storing are calls of the Recorder.
	preparing, storing *fault.Task
	// watching compares the catalog; capture goes on without it.
	watching *fault.Task

	mu sync.Mutex
	// failure is the last error that nothing has disproved yet; hurdle is where recording failed, zero: elsewhere.
	failure error
	hurdle  place
	// starting: a try is on its way to the stream.
	starting bool
	// steady is how long a stream is read before an error that was not met while recording counts as over.
	steady time.Duration
}

// place is how far a batch reaches into the stream.
type place struct {
	lsn  pglogrepl.LSN
	part int
}

func (p place) before(q place) bool { return p.lsn < q.lsn || p.lsn == q.lsn && p.part < q.part }

func (c *Capture) newTasks() tasks {
	named := fault.Unless(obstacles...)
	return tasks{
		steady: c.board.Limit() / 2,
		capturing: c.board.Task(fault.CaptureFailing, "capture", named, fault.Locking(), fault.InsteadOf(fault.StartPending),
			fault.Excusing(c.works)),
		preparing: c.board.Task(fault.CaptureFailing, "reading what commits come to", named, fault.Locking()),
		storing: c.board.Task(fault.CaptureFailing, "recording commits", named, fault.Locking(),
			fault.Excusing(c.awaitsStandby)),
		watching: c.board.Task(fault.CaptureFailing, "comparing the catalog with what capture depends on", named,
			fault.Partly(), fault.Locking(), fault.Allowing(c.WatchEvery)),
	}
}

// begin notes that a try to reach the stream begins.
func (t *tasks) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.starting = true
	t.capturing.Begin()
}

// whileStarting runs do if a try is on its way, and keeps the try from ending meanwhile.
func (t *tasks) whileStarting(do func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.starting {
		do()
	}
}

// rest: there is nothing to do here, or a fault with a code of its own says why it is not done.
func (t *tasks) rest() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failure, t.hurdle, t.starting = nil, place{}, false
	t.capturing.Rest()
	t.preparing.Rest()
	t.storing.Rest()
	t.watching.Rest()
}

// failed records why capture does not run. atOnce: the process is already out of service.
func (t *tasks) failed(err error, atOnce bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failure = err
	t.end(err, atOnce)
}

// still: this try found nothing new, and the earlier failure is not disproved.
func (t *tasks) still() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.starting = false
	if t.failure != nil {
		t.capturing.End(t.failure)
	} else {
		t.capturing.Rest() // a fault with a code of its own is on the board
	}
}

// blocked records that the slot is not available yet, which is over as soon as the stream starts.
func (t *tasks) blocked(err error, atOnce bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end(err, atOnce)
}

func (t *tasks) end(err error, atOnce bool) {
	t.starting = false
	if atOnce {
		t.capturing.Fail(err)
	}
	t.capturing.End(err)
}

// started: the stream is read. An error of before may come again.
func (t *tasks) started() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.starting = false
	if t.failure != nil {
		t.capturing.GoOn(t.failure)
	} else {
		t.capturing.End(nil)
	}
}

// tripped notes that a batch which reaches so far could not be recorded.
func (t *tasks) tripped(at place) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.hurdle.before(at) {
		t.hurdle = at
	}
}

// reached notes that all is recorded up to there.
func (t *tasks) reached(at place) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.hurdle != (place{}) && !at.before(t.hurdle) {
		t.over()
	}
}

// lasted notes for how long the stream has been read.
func (t *tasks) lasted(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failure != nil && t.hurdle == (place{}) && d >= t.steady {
		t.over()
	}
}

func (t *tasks) over() {
	t.failure, t.hurdle = nil, place{}
	t.capturing.End(nil)
}

// reach returns the LSN up to which a batch reaches. The parts of a large transaction have their commit's LSN; a
// position lies behind all commits.
func (b *batch) reach() place {
	p := place{lsn: b.position}
	for i := range b.commits {
		if of := (place{b.commits[i].CommitLSN, b.commits[i].Part}); p.before(of) {
			p = of
		}
	}
	return p
}

// awaitsStandby reports whether recording waits for a synchronous standby.
func (c *Capture) awaitsStandby(ctx context.Context) bool {
	waits, err := ReadWaits(ctx, c.url, c.deployment)
	return err == nil && waits.Standby
}

// works reports whether the bookkeeping's session runs something that naturally takes long: a baseline, a migration. It
// raises the fault that shows it.
func (c *Capture) works(ctx context.Context) bool {
	waits, err := ReadWaits(ctx, c.url, c.deployment)
	switch {
	case err != nil || !waits.Standby && !waits.Working:
		return false
	case waits.Standby:
		c.showStartPending("a commit of the bookkeeping waits for a synchronous standby")
	default:
		c.showStartPending("a statement on the bookkeeping is running: a migration, the rest of a large transaction, or " +
			"the comparison of ledger and table")
	}
	return true
}

// passed takes faults off the board that did not stop this try, which is still on its way.
func (c *Capture) passed(codes ...fault.Code) {
	if c.board.Holds(codes...) {
		c.showStartPending("an earlier obstacle is gone, and the stream is not reached yet")
	}
	c.board.Clear(codes...)
}

func (c *Capture) showStartPending(why string) {
	c.tasks.whileStarting(func() { c.board.Raise(fault.New(fault.StartPending, "capture is being started: %s", why)) })
}
