package outbox

import "context"

// ahead is the batch that was prepared last. A batch prepared while it is being stored must not depend on it.
type ahead struct {
	identities []string
	// all: any row may change, or wait.
	all    bool
	stored chan struct{}
}

// setAhead records the batch that will be stored next; nil for a large transaction, which may change everything. If
// acceptances begin to wait, or continue to, later ones may have to queue behind them.
func (r *Recorder) setAhead(b *batch) *ahead {
	r.ahead = &ahead{all: true, stored: make(chan struct{})}
	if b != nil {
		r.ahead.identities, r.ahead.all = b.identities, len(b.waiting)+len(b.touched) > 0
	}
	return r.ahead
}

func (a *ahead) end() { close(a.stored) }

// await waits until what the bookkeeping says of these rows is what it will say when they are recorded.
func (a *ahead) await(ctx context.Context, identities []string) error {
	if a == nil || !a.concerns(identities) {
		return nil
	}
	select {
	case <-a.stored:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (a *ahead) concerns(identities []string) bool {
	if a.all {
		return true
	}
	named := make(map[string]bool, len(a.identities))
	for _, identity := range a.identities {
		named[identity] = true
	}
	for _, identity := range identities {
		if named[identity] {
			return true
		}
	}
	return false
}
