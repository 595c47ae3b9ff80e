package outbox

import (
	"context"

	"attendee-relay/internal/postgres"
)

// Lookup asks the payload query for the present rows of these keys. A key without a row has an empty answer; a key
// whose query fails has none. The error explains why some are missing, for the log.
type Lookup func(ctx context.Context, keys []string) (map[string][]payload, error)

// noBodies: where a message goes is asked, and its body is there.
const noBodies = 0

// Lookup is one over the Resolver's connection, which it waits for. It works on a standby as well.
func (v *Resolver) Lookup(ctx context.Context, keys []string) (map[string][]payload, error) {
	select {
	case v.reader.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-v.reader.turn }()
	found := map[string][]payload{}
	return found, v.lookupInto(ctx, keys, found)
}

// lookupInto halves what fails, so that a key whose query fails hides no other.
func (v *Resolver) lookupInto(ctx context.Context, keys []string, found map[string][]payload) error {
	var rows map[string][]payload
	config := v.recorder.config
	err := v.reader.in(ctx, nil, func(snapshot) (err error) {
		rows, _, err = v.reader.payloads(ctx, keys, config.QueryTimeout, config.DefaultURL, noBodies)
		return err
	})
	if err == nil {
		for _, key := range keys {
			found[key] = rows[key]
		}
	}
	if err == nil || len(keys) == 1 || ctx.Err() != nil || postgres.Unreachable(err) || failsForAll(err) ||
		postgres.Code(err) == "57014" {
		return err
	}
	half := len(keys) / 2
	first := v.lookupInto(ctx, keys[:half], found)
	if second := v.lookupInto(ctx, keys[half:], found); first == nil {
		first = second
	}
	return first
}
