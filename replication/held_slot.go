package replication

import (
	"context"
	"fmt"

	"attendee-relay/internal/postgres"
)

// checkHeld looks at the slot once more, now that this process holds it and nobody can move it. It may have been made
// again, or moved on, since the start looked at it. The server then begins where the slot is, without an error
// (PostgreSQL 14 to 18), and what was committed between the checkpoint and there would never be read.
func (c *Capture) checkHeld(ctx context.Context, at Position) error {
	sql, err := postgres.Direct(ctx, c.url, c.name("setup"))
	if err != nil {
		return fmt.Errorf("connecting for a last look at replication slot %q: %w", c.config.Slot, err)
	}
	defer func() { _ = sql.Close(context.WithoutCancel(ctx)) }()
	s, err := readSlot(ctx, sql, c.config.Slot)
	if err != nil {
		return err
	}
	if f := c.unreachable(at, s); f != nil {
		return f
	}
	return nil
}
