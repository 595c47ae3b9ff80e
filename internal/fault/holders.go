package fault

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// holdersTimeout bounds the question who holds a lock.
const holdersTimeout = 3 * time.Second

// AskHolders has the board ask who has locked the object that a task needs, once a task that may wait for a lock has
// made no progress for so long that it is a fault. holders returns a sentence without values, or "" if it sees nobody;
// it may ask the database, and must return soon after ctx ends. Call AskHolders before anything runs.
func (b *Board) AskHolders(holders func(ctx context.Context) string) { b.holders = holders }

// Holders names who has locked what we need; "" if it sees nobody.
func (b *Board) Holders(ctx context.Context) string {
	if b.holders == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, holdersTimeout)
	defer cancel()
	return b.holders(ctx)
}

// lookForHolders has the tasks that may be waiting for a lock say who has it.
func (b *Board) lookForHolders(ctx context.Context) {
	waiting := b.waitingForLocks()
	if len(waiting) == 0 {
		return
	}
	holder := b.Holders(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range waiting {
		// A holder that is not seen between two tries of ours may still be there.
		if t.waitsForLock() && (holder != "" || t.err == nil) {
			t.holder = holder
		}
	}
}

// waitingForLocks returns the tasks that make no progress, perhaps because of a lock, and for which nobody has been
// asked recently.
func (b *Board) waitingForLocks() (list []*Task) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	for _, t := range b.tasks {
		if b.holders != nil && t.locking && t.stuck(now) && t.waitsForLock() && now.Sub(t.looked) >= b.limit {
			t.looked = now
			list = append(list, t)
		}
	}
	return list
}

// waitsForLock reports whether a lock may be what holds the task up: a call hangs, or ended with a time-out.
func (t *Task) waitsForLock() bool {
	return !t.since.IsZero() && (t.err == nil || TimedOut(t.err))
}

// TimedOut reports whether err means that a lock was not granted in time, a statement was cancelled for its duration,
// or an answer did not arrive.
func TimedOut(err error) bool {
	if said, ok := errors.AsType[*pgconn.PgError](err); ok {
		return said.Code == "55P03" || said.Code == "57014"
	}
	return errors.Is(err, context.DeadlineExceeded)
}
