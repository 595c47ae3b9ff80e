package fault

import (
	"context"
	"time"
)

const (
	// judgments is how many times the board judges its tasks within its limit.
	judgments = 10
	// excuseTimeout bounds the question whether a call that hangs is excused.
	excuseTimeout = 2 * time.Second
)

// Watch judges the tasks until ctx ends. It reports each fault that it raises, changes or (held: false) takes off the
// board.
func (b *Board) Watch(ctx context.Context, report func(f Fault, held bool)) {
	ticker := time.NewTicker(b.limit / judgments)
	defer ticker.Stop()
	shown := map[Code]Fault{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		b.Judge(ctx)
		b.tell(shown, report)
	}
}

// tell reports how the tasks' faults differ from those that were shown.
func (b *Board) tell(shown map[Code]Fault, report func(Fault, bool)) {
	for code, f := range b.judgedFaults() {
		if shown[code] != f {
			shown[code] = f
			report(f, true)
		}
	}
	now := b.judgedFaults()
	for code, f := range shown {
		if _, held := now[code]; !held {
			delete(shown, code)
			report(f, false)
		}
	}
}

func (b *Board) judgedFaults() map[Code]Fault {
	b.mu.Lock()
	defer b.mu.Unlock()
	held := map[Code]Fault{}
	for code := range b.judged {
		held[code] = b.faults[code]
	}
	return held
}

// Judge raises the faults of tasks that get nowhere and clears those of tasks that do again.
func (b *Board) Judge(ctx context.Context) {
	for _, t := range b.suspects() {
		b.excuse(ctx, t)
	}
	b.lookForHolders(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range b.tasks {
		b.judgeCode(t.code)
	}
}

// relieve takes a task's fault off the board as soon as it is no longer true; only Judge, which asks for excuses,
// raises one.
func (b *Board) relieve(code Code) {
	if b.judged[code] {
		b.judgeCode(code)
	}
}

// suspects are the tasks with a call that hangs for which there may be an excuse that was not asked for of late.
func (b *Board) suspects() (list []*Task) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	for _, t := range b.tasks {
		if t.excused != nil && t.err == nil && t.stuck(now) && now.Sub(t.asked) >= b.limit {
			t.asked = now
			list = append(list, t)
		}
	}
	return list
}

// excuse asks whether what a task waits for is no fault. If so its time begins again.
func (b *Board) excuse(ctx context.Context, t *Task) {
	ctx, cancel := context.WithTimeout(ctx, excuseTimeout)
	defer cancel()
	if t.excused(ctx) {
		t.Step()
	}
}

// judgeCode updates the board for the tasks of a code. Of several tasks without progress it shows one that stops the
// stage before one that does not, and one with a known error before one that hangs.
func (b *Board) judgeCode(code Code) {
	now := b.now()
	var worst *Fault
	var instead []Code
	rank := 0
	for _, t := range b.tasks {
		if t.code != code || !t.stuck(now) {
			continue
		}
		f, r := t.fault(now), 1
		if !f.Partial {
			r += 2
		}
		if t.err != nil {
			r++
		}
		if r > rank {
			worst, rank, instead = f, r, t.instead
		}
	}
	switch {
	case worst != nil:
		b.judged[code] = true
		b.raise(*worst)
		for _, code := range instead {
			delete(b.faults, code)
		}
	case b.judged[code]:
		delete(b.judged, code)
		delete(b.faults, code)
	}
}
