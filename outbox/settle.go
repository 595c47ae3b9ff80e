package outbox

import (
	"context"
	_ "embed"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/postgres"
)

//go:embed sql/settle.sql
var settleSQL string

// Settled says what became of a batch of settlements.
type Settled struct {
	// Applied settlements were recorded; Refused ones came after their lease was lost and were no 2xx.
	Applied int
	Refused int
}

// Settle records attempts, moves their messages on and judges their endpoints, in one transaction. An outcome that comes
// after its lease was lost is refused and counted, unless it is a 2xx and the message is still pending.
func (q *Queue) Settle(ctx context.Context, settlements []Settlement) (Settled, error) {
	settled, err := q.settle(ctx, settlements)
	if !badData(err) || len(settlements) == 1 {
		return settled, err
	}
	// One that the database cannot take must not keep the others from being recorded.
	settled = Settled{}
	for _, s := range settlements {
		one, err := q.settle(ctx, []Settlement{s})
		if badData(err) {
			// What the receiver said is worth less than that it was told.
			s.Outcome.attempt.Error, s.Outcome.attempt.Response = "", ""
			one, err = q.settle(ctx, []Settlement{s})
		}
		switch {
		case badData(err):
			settled.Refused++
		case err != nil:
			return settled, err
		default:
			settled.Applied, settled.Refused = settled.Applied+one.Applied, settled.Refused+one.Refused
		}
	}
	return settled, nil
}

// badData reports whether an error is about what was to be written: a value that cannot be, or a constraint (SQLSTATE classes 22 and
// 23).
func badData(err error) bool {
	code := postgres.Code(err)
	return strings.HasPrefix(code, "22") || strings.HasPrefix(code, "23")
}

func (q *Queue) settle(ctx context.Context, settlements []Settlement) (Settled, error) {
	ctx, cancel := q.bounded(ctx)
	defer cancel()
	judged := q.judge(settlements)
	applied, err := collect(ctx, q.pool, pgx.RowTo[int], settling(settlements), judged.statements(q.breaker)...)
	if err != nil {
		q.suspect(err)
		return Settled{}, fmt.Errorf("settling %d messages: %w", len(settlements), postgres.Safe(err))
	}
	q.remember(judged)
	return Settled{Applied: applied[0], Refused: len(settlements) - applied[0]}, nil
}

func settling(settlements []Settlement) statement {
	var ids []int64
	var leases []uuid.UUID
	var states, waits []string
	var stepped []bool
	var started []time.Time
	var durations []int32
	var statuses []*int32
	var failures, responses []*string
	for _, s := range settlements {
		attempt := s.Outcome.attempt
		ids, leases = append(ids, s.Message.Row), append(leases, s.Message.Token)
		states, waits = append(states, string(s.Outcome.state)), append(waits, interval(s.Outcome.wait))
		stepped = append(stepped, s.Outcome.stepped)
		started, durations = append(started, attempt.StartedAt), append(durations, int32(attempt.Duration.Milliseconds())) //nolint:gosec // bounded by DELIVERY_TIMEOUT
		var status *int32
		if attempt.Status != 0 {
			status = new(int32)
			*status = int32(attempt.Status) //nolint:gosec // three digits
		}
		statuses = append(statuses, status)
		failures, responses = append(failures, optional(attempt.Error)), append(responses, optional(attempt.Response))
	}
	return statement{settleSQL, []any{ids, leases, states, waits, stepped, started, durations, statuses, failures, responses}}
}
