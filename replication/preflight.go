package replication

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/fault"
)

// Preflight refuses a first start, with a fault, while anything is lacking that the relay needs: not only for
// capture, of which Capture knows itself. It changes nothing, and passes once streaming has begun.
type Preflight func(ctx context.Context, conn *pgx.Conn) error

// preflight asks whether a first start may touch anything.
func (c *Capture) preflight(ctx context.Context, conn *pgx.Conn) error {
	if c.Preflight == nil {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 2*checkTimeout,
		errors.New("the database did not answer the checks of a first start in time"))
	defer cancel()
	err := c.Preflight(ctx, conn)
	if f := (*fault.Fault)(nil); !errors.As(err, &f) || f.Code != fault.QueryInvalid {
		c.passed(fault.QueryInvalid) // what an earlier try found
	}
	return err
}
