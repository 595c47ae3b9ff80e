package fault_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"attendee-relay/internal/fault"
)

// bench is a board whose clock a test moves.
type bench struct {
	*fault.Board
	now time.Time
}

func newBench() *bench {
	b := &bench{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	b.Board = fault.NewBoardWith(10*time.Second, func() time.Time { return b.now })
	return b
}

func (b *bench) pass(d time.Duration) {
	b.now = b.now.Add(d)
	b.Judge(context.Background())
}

// shown are the messages of the faults that hold.
func (b *bench) shown() (list []string) {
	for _, f := range b.List() {
		list = append(list, string(f.Code)+": "+f.Message)
	}
	return list
}

var errUnknown = &pgconn.PgError{Severity: "ERROR", Code: "XX000", Message: "unexpected state"}

// A stage that does not get on has a fault, and one that does has none.
func TestTask(t *testing.T) {
	t.Parallel()
	const second = time.Second
	for name, c := range map[string]struct {
		do   func(*bench, *fault.Task)
		want string
	}{
		"a call that hangs":          {func(b *bench, w *fault.Task) { w.Begin(); b.pass(10 * second) }, "no step"},
		"a call that takes its time": {func(b *bench, w *fault.Task) { w.Begin(); b.pass(9 * second) }, ""},
		"calls that fail": {func(b *bench, w *fault.Task) {
			for range 11 {
				w.Begin()
				w.End(errUnknown)
				b.pass(second)
			}
		}, "unexpected state (SQLSTATE XX000)"},
		"one failure, then nothing to do": {func(b *bench, w *fault.Task) {
			w.Begin()
			w.End(errUnknown)
			w.Begin()
			w.End(nil)
			b.pass(time.Hour)
		}, ""},
		"a long call with steps": {func(b *bench, w *fault.Task) {
			w.Begin()
			for range 10 {
				b.pass(9 * second)
				w.Step()
			}
		}, ""},
		"rounds that fail after good steps": {func(b *bench, w *fault.Task) {
			for range 4 {
				w.Begin()
				b.pass(3 * second)
				w.Step()
				w.End(errUnknown)
			}
			b.pass(second)
		}, "unexpected state"},
		"overlapping calls of which some end": {func(b *bench, w *fault.Task) {
			for range 10 {
				w.Begin()
				w.Begin()
				b.pass(3 * second)
				w.End(nil)
			}
		}, ""},
		"overlapping calls of which none ends": {func(b *bench, w *fault.Task) {
			for range 10 {
				w.Begin()
				b.pass(second)
			}
		}, "no step"},
		"a fault that was true": {func(b *bench, w *fault.Task) {
			w.Begin()
			b.pass(11 * second)
			w.End(nil)
		}, ""},
		"work that another process has taken over": {func(b *bench, w *fault.Task) {
			w.Begin()
			w.End(errUnknown)
			b.pass(11 * second)
			w.Rest()
		}, ""},
		"a failure that is a fault at once": {func(_ *bench, w *fault.Task) {
			w.Fail(errors.New("too many open files"))
		}, "fails: too many"},
		"an error that is told by another fault": {func(b *bench, w *fault.Task) {
			b.Raise(fault.New(fault.QueryInvalid, "no such column"))
			w.Begin()
			w.End(errUnknown)
			b.pass(11 * second)
			b.Clear(fault.QueryInvalid)
			b.pass(9 * second)
		}, ""},
		"an error that goes on when the other fault is gone": {func(b *bench, w *fault.Task) {
			b.Raise(fault.New(fault.QueryInvalid, "no such column"))
			w.Begin()
			w.End(errUnknown)
			b.pass(11 * second)
			b.Clear(fault.QueryInvalid)
			for range 9 { // cleared again and again, without having been raised
				b.Clear(fault.QueryInvalid)
				b.pass(second)
			}
			b.pass(second)
		}, "unexpected state"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench()
			c.do(b, b.Task(fault.RenderingFailing, "evaluating", fault.Unless(fault.QueryInvalid)))
			got := strings.Join(b.shown(), "\n")
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("on the board is %q, want %q", got, c.want)
			}
		})
	}
}

// What waits for a standby is excused as long as it does.
func TestTaskThatIsExcused(t *testing.T) {
	t.Parallel()
	b, waits := newBench(), true
	w := b.Task(fault.CaptureFailing, "storing commits", fault.Excusing(func(context.Context) bool { return waits }))
	w.Begin()
	for range 10 {
		b.pass(10 * time.Second)
	}
	if got := b.shown(); len(got) != 0 {
		t.Errorf("while it is excused: %q", got)
	}
	waits = false
	b.pass(10 * time.Second)
	if got := b.shown(); len(got) != 1 {
		t.Errorf("later: %q", got)
	}
}

// A stage that gets on beside a failure is not stopped by it.
func TestTaskThatFailsInPart(t *testing.T) {
	t.Parallel()
	b := newBench()
	w := b.Task(fault.RenderingFailing, "evaluating")
	watch := b.Task(fault.CaptureFailing, "comparing", fault.Partly())
	for range 12 {
		w.Begin()
		watch.Begin()
		b.pass(time.Second)
		w.Step()
		w.End(errUnknown)
		watch.End(errUnknown)
	}
	for _, f := range b.List() {
		if !f.Partial {
			t.Errorf("%s counts as one that stops its stage", f.Code)
		}
	}
	b.pass(10 * time.Second)
	for _, f := range b.List() {
		if f.Partial != (f.Code == fault.CaptureFailing) {
			t.Errorf("%s without a step: partial is %t", f.Code, f.Partial)
		}
	}
}

// The time at which a fault began stays as long as it holds.
func TestSince(t *testing.T) {
	t.Parallel()
	b := newBench()
	began := b.now
	b.Raise(fault.New(fault.SlotLost, "a"))
	b.pass(time.Minute)
	if !b.Raise(fault.New(fault.SlotLost, "b")) || b.Raise(fault.New(fault.SlotLost, "b")) {
		t.Error("a change of the message is a change, a repetition is none")
	}
	if f := b.List()[0]; !f.Since.Equal(began) || f.Message != "b" {
		t.Errorf("%+v", f)
	}
	b.Clear(fault.SlotLost)
	b.Raise(fault.New(fault.SlotLost, "b"))
	if f := b.List()[0]; !f.Since.Equal(b.now) {
		t.Errorf("%+v", f)
	}
}

// Watch judges by itself, and tells of what changes, once.
func TestWatch(t *testing.T) {
	t.Parallel()
	b := fault.NewBoardWith(20*time.Millisecond, time.Now)
	w := b.Task(fault.DeliveryFailing, "claiming messages")
	told := make(chan bool, 10)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b.Watch(ctx, func(f fault.Fault, held bool) { told <- held && f.Code == fault.DeliveryFailing })
	}()
	w.Begin()
	if !<-told {
		t.Error("told of something else than the fault")
	}
	w.End(nil)
	if <-told {
		t.Error("told of the fault again")
	}
	stop()
	<-ended
}

func TestSentence(t *testing.T) {
	t.Parallel()
	for code, c := range map[string]struct{ message, want string }{
		"42501": {"permission denied for table checkpoint",
			"recording: permission denied for table checkpoint (SQLSTATE 42501)"},
		"22P02": {`invalid input syntax for type bigint: "Kowalski"`,
			"recording: invalid input syntax for type bigint (value not shown) (SQLSTATE 22P02)"},
		"P0001": {"Kowalski is not welcome", "recording: it raised an error (message not shown) (SQLSTATE P0001)"},
		"ZZ123": {"Kowalski", "recording: it raised an error (message not shown) (SQLSTATE ZZ123)"},
		"53100": {"could not extend file: No space left on device",
			"recording: could not extend file: No space left on device (SQLSTATE 53100)"},
	} {
		wrapped := fmt.Errorf("recording: %w", &pgconn.PgError{Severity: "ERROR", Code: code, Message: c.message})
		if got := fault.Sentence(wrapped); got != c.want {
			t.Errorf("%s: %q, want %q", code, got, c.want)
		}
	}
}

// The holders of a lock are asked for only if a task may wait for a lock and has made no progress for long enough to be
// a fault; once within the limit, and no longer when the task makes progress.
func TestHoldersAreNamed(t *testing.T) {
	t.Parallel()
	const second = time.Second
	timedOut := fmt.Errorf("recording: %w", &pgconn.PgError{Severity: "ERROR", Code: "55P03", Message: "lock timeout"})
	hangs := func(lasts ...time.Duration) func(*bench, *fault.Task) {
		return func(b *bench, w *fault.Task) {
			w.Begin()
			for _, d := range lasts {
				b.pass(d)
			}
		}
	}
	fails := func(err error) func(*bench, *fault.Task) {
		return func(b *bench, w *fault.Task) {
			w.Begin()
			w.End(err)
			b.pass(10 * second)
		}
	}
	for name, c := range map[string]struct {
		do    func(*bench, *fault.Task)
		named bool
		asked int
	}{
		"a call that hangs":            {hangs(10*second, 9*second), true, 1},
		"a call that hangs for longer": {hangs(10*second, 10*second), true, 2},
		"a call that takes its time":   {hangs(9 * second), false, 0},
		"calls that time out":          {fails(timedOut), true, 1},
		"calls that fail otherwise":    {fails(errUnknown), false, 0},
		"a lock that was let go": {func(b *bench, w *fault.Task) {
			w.Begin()
			b.pass(10 * second)
			w.End(errUnknown)
			b.pass(second)
		}, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, asked := newBench(), 0
			b.AskHolders(func(context.Context) string {
				asked++
				return "the ledger is locked by process 7"
			})
			c.do(b, b.Task(fault.CaptureFailing, "recording", fault.Locking()))
			if got := strings.Contains(strings.Join(b.shown(), ""), "; the ledger is locked by process 7"); got != c.named {
				t.Errorf("the board shows %q", b.shown())
			}
			if asked != c.asked {
				t.Errorf("asked %d times, want %d", asked, c.asked)
			}
		})
	}
}
