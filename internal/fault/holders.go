package fault

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// holdersTimeout bounds the question who holds a lock.
const holdersTimeout = 3 * time.Second

// AskHolders has the board ask who has locked what a task needs, when a task that may wait for a lock has got nowhere
// for so long that it is a fault. holders gives a sentence without values, or "" where nobody is seen to; it may ask
// the database, and must return soon after ctx ends. It is called before anything runs.
func (b *Board) AskHolders(holders func(ctx context.Context) string) { b.holders = holders }

// Holders asks who has locked what we need; "": nobody is seen to.
func (b *Board) Holders(ctx context.Context) string {
	if b.holders == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, holdersTimeout)
	defer cancel()
	return b.holders(ctx)
}

// lookForHolders has the tasks that seem to wait for a lock say who has it.
func (b *Board) lookForHolders(ctx context.Context) {
	waiting := b.waitingForLocks()
	if len(waiting) == 0 {
		return
	}
	holder := b.Holders(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range waiting {
		// Who is not seen between two tries of ours may be there all the same.
		if t.waitsForLock() && (holder != "" || t.err == nil) {
			t.holder = holder
		}
	}
}

// waitingForLocks are the tasks that get nowhere, maybe for a lock, and for which nobody was asked of late.
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

// waitsForLock reports whether what keeps the task from getting on may be a lock: a call hangs, or ended with a
// time-out.
func (t *Task) waitsForLock() bool {
	return !t.since.IsZero() && (t.err == nil || TimedOut(t.err))
}

// TimedOut reports whether err is that a lock was not had in time, a statement was ended for its time, or an answer did
// not come.
func TimedOut(err error) bool {
	if said, ok := errors.AsType[*pgconn.PgError](err); ok {
		return said.Code == "55P03" || said.Code == "57014"
	}
	return errors.Is(err, context.DeadlineExceeded)
}
