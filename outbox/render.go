package outbox

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"attendee-relay/internal/postgres"
)

// inlineTimeout bounds the payload query while capture waits for it; a slower one is left to the Resolver, which has
// SOURCE_QUERY_TIMEOUT.
const inlineTimeout = time.Second

// renderLimit is how many keys capture has rendered at once at most.
const renderLimit = 10_000

// render runs the payload query for acceptances inside the reader's snapshot. When it cannot, or there are more than
// fit into memory, the acceptances wait: a failing query never stops capture.
func (r *Recorder) render(ctx context.Context, found []acceptance) (ready messages, waiting []acceptance, err error) {
	if len(found) == 0 {
		return messages{}, nil, nil
	}
	if r.config.Settle > 0 || r.renderLate.Load() {
		return messages{}, found, nil
	}
	keys := keysOf(found)
	keys = keys[:min(len(keys), r.portion.keys)]
	timeout := min(inlineTimeout, r.config.QueryTimeout)
	rows, held, err := r.reader.ownPayloads(ctx, keys, timeout, r.config.DefaultURL, int(r.config.MaxBody))
	switch {
	case isTooLarge(err):
		r.portion.halve(len(keys))
		r.log.Debug("the acceptances wait for a payload query with fewer of them",
			zap.String("reason", failure(err)), zap.Int("acceptances", len(found)))
		return messages{}, found, nil
	case err != nil && (postgres.Unreachable(err) || ctx.Err() != nil):
		return messages{}, nil, fmt.Errorf("running the payload query: %w", err)
	case err != nil:
		r.log.Warn("the payload query failed: the acceptances wait", zap.String("reason", failure(err)),
			zap.Int("acceptances", len(found)))
		r.renderLate.Store(true)
		return messages{}, found, nil
	}
	r.portion.learn(len(keys), held)
	r.queryWorked()
	for _, a := range found {
		if ready.bytes+bodiesOf(rows, a) > maxBatch || !ready.add(r.opened.Load().systemID, a, rows) {
			waiting = append(waiting, a)
		}
	}
	return ready, waiting, nil
}

func keysOf(found []acceptance) []string {
	seen := make(map[string]bool, len(found))
	var keys []string
	for _, a := range found {
		if a.key != nil && !seen[*a.key] {
			seen[*a.key] = true
			keys = append(keys, *a.key)
		}
	}
	return keys
}
