package fault

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"
)

// Board holds the faults that are true now, one a code, and the tasks that are watched. It is safe for concurrent use.
type Board struct {
	limit time.Duration
	now   func() time.Time

	mu     sync.Mutex
	faults map[Code]Fault
	tasks  []*Task
	// judged are the codes whose fault was raised for a task that gets nowhere.
	judged map[Code]bool
	// holders names who has locked what we need; nil if it cannot be asked.
	holders func(ctx context.Context) string
}

// Limit is how long a task may finish no step before that is a fault; the public contract, section 6.
const Limit = 10 * time.Second

// NewBoard returns an empty board.
func NewBoard() *Board { return NewBoardWith(Limit, time.Now) }

// NewBoardWith returns an empty board with another limit or clock, for tests.
func NewBoardWith(limit time.Duration, now func() time.Time) *Board {
	return &Board{limit: limit, now: now, faults: map[Code]Fault{}, judged: map[Code]bool{}}
}

// Limit returns how long a task of this board may finish no step.
func (b *Board) Limit() time.Duration { return b.limit }

// Raise shows f until Clear; it replaces an earlier fault of the same code and reports whether the board changed, so
// that a caller logs a lasting fault once.
func (b *Board) Raise(f *Fault) (changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.judged, f.Code)
	return b.raise(*f)
}

func (b *Board) raise(f Fault) (changed bool) {
	before, had := b.faults[f.Code]
	f.Since = before.Since
	if !had {
		f.Since = b.now().UTC().Truncate(time.Millisecond)
	}
	b.faults[f.Code] = f
	return !had || before != f
}

// Clear takes the faults of these codes off the board and reports whether there were any. Their tasks get their whole
// time again; a failure that is a fault at once is shown again at once.
func (b *Board) Clear(codes ...Code) (changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range b.tasks {
		t.resume(codes)
	}
	for _, code := range codes {
		delete(b.judged, code)
		if _, had := b.faults[code]; had {
			delete(b.faults, code)
			changed = true
		}
	}
	for _, t := range b.tasks {
		if t.atOnce {
			b.judgeCode(t.code)
		}
	}
	return changed
}

// Holds reports whether the board has a fault of one of the codes that stops its stage.
func (b *Board) Holds(codes ...Code) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.holds(codes)
}

// List returns the faults that hold now, in the order of their codes.
func (b *Board) List() []Fault {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]Fault, 0, len(b.faults))
	for _, f := range b.faults {
		list = append(list, f)
	}
	slices.SortFunc(list, func(x, y Fault) int { return strings.Compare(string(x.Code), string(y.Code)) })
	return list
}

// holds is Holds for a caller that has the lock.
func (b *Board) holds(codes []Code) bool {
	return slices.ContainsFunc(codes, func(code Code) bool {
		f, held := b.faults[code]
		return held && !f.Partial
	})
}
