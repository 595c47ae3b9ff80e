package outbox

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/postgres"
)

//go:embed sql/resolve_failing.sql
var resolveFailingSQL string

// failingLimit is how many acceptances that wait for an error are counted.
const failingLimit = 10_000

// failures are the acceptances that wait because their payload could not be made.
type failures struct {
	// acceptances is failingLimit at most, of that many keys.
	acceptances, keys int
	first             string
}

func readFailures(ctx context.Context, conn *pgx.Conn) (f failures, err error) {
	return f, conn.QueryRow(ctx, resolveFailingSQL, failingLimit).Scan(&f.acceptances, &f.keys, &f.first)
}

// fault says how many there are, and the first error.
func (f failures) fault() *fault.Fault {
	more := ""
	if f.acceptances == failingLimit {
		more = " or more"
	}
	return fault.New(fault.QueryFailing, "acceptances that wait for an error of the payload query: %d%s; the first: %s",
		f.acceptances, more, f.first).
		WithFix("correct the payload query, or the rows it reads; " +
			"last_error in attendee_relay.acceptance has the error of each")
}

// Failures says whether acceptances wait because their payload could not be made. Where there is no bookkeeping, it
// finds nothing.
func (i Inspector) Failures(ctx context.Context, conn *pgx.Conn) ([]fault.Finding, error) {
	found, err := readFailures(ctx, conn)
	switch {
	case noOutbox(err):
		return nil, nil
	case postgres.Code(err) == insufficientPrivilege:
		return []fault.Finding{fault.Warning(fault.QueryFailing, postgres.Grants(ctx, conn, resolveFailingSQL, err),
			"the role may not ask whether acceptances wait for an error of the payload query")}, nil
	case err != nil:
		return nil, fmt.Errorf("counting the acceptances that wait for an error: %w", err)
	case found.acceptances == 0:
		return []fault.Finding{fault.Passed(fault.QueryFailing, "no acceptance waits for an error of the payload query")}, nil
	}
	f := found.fault()
	return []fault.Finding{fault.Warning(f.Code, f.Fix, "%s", f.Message)}, nil
}
