package postgres

import (
	"context"
	_ "embed"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/secret"
)

//go:embed lock_holders.sql
var lockHoldersSQL string

// A session of ours waits for a lock for lockTimeout and tries again after a pause: if nobody is seen to hold a table
// that is known to be needed, the look is repeated.
const (
	looks = 10
	// maxName is where Postgres cuts off application_name.
	maxName   = 63
	lookAgain = 150 * time.Millisecond
)

// LockHolders returns a sentence about who holds up the sessions whose names begin so, or has locked one of these
// tables; "" if it sees nobody, or cannot ask. It asks over a connection of its own, which waits for nobody.
func LockHolders(ctx context.Context, conninfo secret.String, sessions string, tables []string) string {
	conn, err := Direct(ctx, conninfo, sessions+"locks")
	sessions = sessions[:min(len(sessions), maxName)]
	if err != nil {
		return ""
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for range looks {
		rows, err := conn.Query(ctx, lockHoldersSQL, sessions, tables)
		if err != nil {
			return ""
		}
		held, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (h lockHeld, err error) {
			return h, row.Scan(&h.table, &h.pid, &h.application, &h.role, &h.waits)
		})
		if err != nil {
			return ""
		}
		if len(held) > 0 {
			return sentenceOf(held)
		}
		select {
		case <-time.After(lookAgain):
		case <-ctx.Done():
			return ""
		}
	}
	return ""
}

// lockHeld is a lock of another process that we need; without a table it is on a row, or on something else.
type lockHeld struct {
	table             string
	pid               int
	application, role string
	// waits: the process waits for a lock itself.
	waits bool
}

func sentenceOf(held []lockHeld) string {
	parts := make([]string, len(held))
	for i, h := range held {
		parts[i] = h.String()
	}
	return strings.Join(parts, "; ")
}

// String is the lock in words.
func (h *lockHeld) String() string {
	what, after := "a row or object that it needs", ""
	if h.table != "" {
		what = h.table
	}
	if h.pid == 0 {
		return what + " is locked by a prepared transaction (pg_prepared_xacts)"
	}
	if h.waits {
		after = ", which waits for a lock itself"
	}
	return fmt.Sprintf("%s is locked by process %d of the server (application_name %q, role %q)%s", what, h.pid,
		h.application, h.role, after)
}
