package fault

import (
	"context"
	"slices"
	"time"
)

// Task is one thing that a stage does again and again: a call to the database, an exchange, a round over what is due.
// While it has work and finishes no step of it for the board's limit, its fault is on the board, whether a call hangs
// or each one fails. The board is told when calls begin and end; it judges by itself. A nil Task watches nothing.
type Task struct {
	board *Board
	code  Code
	// doing is the task in a sentence: "claiming messages".
	doing string
	// allowed is how long a step may take beyond the board's limit.
	allowed time.Duration
	// named are the faults that say already why the task gets nowhere.
	named []Code
	// instead are faults that are taken off the board when the task's own is raised.
	instead []Code
	// partial: the stage works without this task.
	partial bool
	// locking: the task may wait for a lock.
	locking bool
	// excused reports whether what a call waits for is no fault.
	excused func(ctx context.Context) bool

	// These are the board's to lock. since is when the work began of which no step was finished; zero: there is no work.
	since time.Time
	// stepped is when a step was finished last, within a call or with its end.
	stepped time.Time
	calls   int
	err     error
	// more is how much longer than the limit the step under way may take.
	more time.Duration
	// atOnce: the failure is a fault without waiting.
	atOnce bool
	// asked is when excused was asked last.
	asked time.Time
	// looked is when holders was last asked for it, holder its answer.
	looked time.Time
	holder string
}

// Option changes how a Task is judged.
type Option func(*Task)

// Allowing lets a step take this much longer than the board's limit: the time-out of the step itself, or the pause
// between two looks.
func Allowing(more time.Duration) Option { return func(t *Task) { t.allowed = more } }

// Unless names faults that explain why the task makes no progress: while one of them is on the board, the task's own
// fault is not.
func Unless(codes ...Code) Option { return func(t *Task) { t.named = codes } }

// InsteadOf names faults that say less than the task's own: they go when it is raised.
func InsteadOf(codes ...Code) Option { return func(t *Task) { t.instead = codes } }

// Locking is for a task that may wait for a lock: its fault names the holder, if the board can ask.
func Locking() Option { return func(t *Task) { t.locking = true } }

// Partly is for a task without which its stage works.
func Partly() Option { return func(t *Task) { t.partial = true } }

// Excusing has the board ask, before it raises a fault for a call that hangs, whether the wait is excused, that is, not
// a fault. excused may ask the database; it must return soon after ctx ends.
func Excusing(excused func(ctx context.Context) bool) Option {
	return func(t *Task) { t.excused = excused }
}

// Task has the board watch one more task, whose fault has this code.
func (b *Board) Task(code Code, doing string, options ...Option) *Task {
	t := &Task{board: b, code: code, doing: doing}
	for _, option := range options {
		option(t)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tasks = append(b.tasks, t)
	return t
}

// Begin says that there is work: a call begins. Calls may overlap.
func (t *Task) Begin() {
	if t == nil {
		return
	}
	t.board.mu.Lock()
	defer t.board.mu.Unlock()
	t.calls++
	if t.since.IsZero() {
		t.since = t.board.now()
	}
}

// End says that a call ended. Without an error what failed before is over, and the work is done unless other calls are
// under way. With one the work is still to be done.
func (t *Task) End(err error) {
	if t == nil {
		return
	}
	t.board.mu.Lock()
	defer t.board.mu.Unlock()
	t.calls = max(t.calls-1, 0)
	if err != nil {
		t.fail(err)
		return
	}
	t.stepped = t.board.now()
	t.since, t.err, t.atOnce, t.more, t.holder = time.Time{}, nil, false, 0, ""
	if t.calls > 0 {
		t.since = t.stepped
	}
	t.board.relieve(t.code)
}

// Step notes that a step of a long call is finished. Earlier failures are over only with the end of a call: one bad
// step among good ones must not look like progress.
func (t *Task) Step() {
	if t == nil {
		return
	}
	t.board.mu.Lock()
	defer t.board.mu.Unlock()
	t.stepped = t.board.now()
	t.goOn()
}

// goOn has the time of the step under way begin again, unless something failed.
func (t *Task) goOn() {
	t.more = 0
	if t.err == nil && !t.since.IsZero() {
		t.since, t.holder = t.board.now(), ""
		t.board.relieve(t.code)
	}
}

// Allow lets the step under way take this much longer: it has a time-out of its own.
func (t *Task) Allow(more time.Duration) {
	if t == nil {
		return
	}
	t.board.mu.Lock()
	defer t.board.mu.Unlock()
	t.more = more
}

// Fail notes a failure outside any call that is a fault at once.
func (t *Task) Fail(err error) {
	if t == nil {
		return
	}
	t.board.mu.Lock()
	defer t.board.mu.Unlock()
	t.atOnce = true
	t.fail(err)
	t.board.judgeCode(t.code)
}

// GoOn notes that the work continues although nothing has disproved err yet: it is a fault only if it lasts.
func (t *Task) GoOn(err error) {
	if t == nil {
		return
	}
	t.board.mu.Lock()
	defer t.board.mu.Unlock()
	t.calls, t.atOnce = max(t.calls-1, 0), false
	t.fail(err)
	t.board.relieve(t.code)
}

func (t *Task) fail(err error) {
	t.err, t.more = err, 0
	if !t.waitsForLock() {
		t.holder = ""
	}
	if t.since.IsZero() {
		t.since = t.board.now()
	}
}

// Rest notes that this process has no work: another process does it, or the obstacle has a fault of its own.
func (t *Task) Rest() {
	if t == nil {
		return
	}
	t.board.mu.Lock()
	defer t.board.mu.Unlock()
	t.calls, t.since, t.err, t.atOnce, t.more, t.holder = 0, time.Time{}, nil, false, 0, ""
	t.board.relieve(t.code)
}

// Progress notes that the calls under way for this code advance, or have an excused wait. It does not disprove earlier
// failures: the steps may be those of a new try.
func (b *Board) Progress(code Code) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range b.tasks {
		if t.code == code {
			t.goOn()
		}
	}
}

// resume has the task's time begin again when a fault goes that said why it got nowhere: it may not have tried since.
func (t *Task) resume(cleared []Code) {
	named := slices.DeleteFunc(slices.Clone(cleared), func(code Code) bool { return !slices.Contains(t.named, code) })
	if !t.since.IsZero() && t.board.holds(named) {
		t.since = t.board.now()
	}
}

// stuck reports whether the task gets nowhere.
func (t *Task) stuck(now time.Time) bool {
	switch {
	case t.since.IsZero() || t.board.holds(t.named):
		return false
	case t.atOnce:
		return true
	default:
		return now.Sub(t.since) >= t.board.limit+t.allowed+t.more
	}
}

// fault returns the fault of a task that makes no progress. A stage that finishes steps beside the failure works in
// part.
func (t *Task) fault(now time.Time) *Fault {
	limit := t.board.limit + t.allowed
	f := New(t.code, "%s has finished no step for more than %v: a call has not returned", t.doing, limit)
	switch {
	case t.err != nil && t.atOnce:
		f = New(t.code, "%s fails: %s", t.doing, Sentence(t.err))
	case t.err != nil:
		f = New(t.code, "%s has failed for more than %v: %s", t.doing, limit, Sentence(t.err))
	}
	if t.holder != "" {
		f.Message += "; " + t.holder
	}
	f.Partial = t.partial || t.stepped.After(t.since) && now.Sub(t.stepped) < limit
	return f
}
