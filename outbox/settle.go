package outbox

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"attendee-relay/internal/postgres"
)

var (
	//go:embed sql/settle_lock.sql
	settleLockSQL string
	//go:embed sql/settle.sql
	settleSQL string
	//go:embed sql/settle_delivered.sql
	settleDeliveredSQL string
)

// Settled says what became of a batch of settlements.
type Settled struct {
	// Applied settlements were recorded; Refused ones came after their lease was lost and were no 2xx.
	Applied int
	Refused int
	// Unstorable are those that the database takes in no form. They changed nothing: their messages are still leased.
	Unstorable []Unstorable
}

// Settle records attempts, moves their messages on and judges their endpoints, in one transaction. An outcome that
// comes after its lease was lost is refused and counted, unless it is a 2xx and the message is still pending. One that
// the database refuses keeps no other from being recorded; it is recorded without its texts, or returned.
func (q *Queue) Settle(ctx context.Context, settlements []Settlement) (Settled, error) {
	settled, err := q.settle(ctx, settlements)
	if !mayBeAboutOne(err) {
		return settled, err
	}
	h := &halving{queue: q, all: settlements}
	if len(settlements) > 1 {
		err = h.halves(ctx, settlements)
	} else {
		err = h.reduced(ctx, settlements[0], err)
	}
	return h.settled, err
}

// storable has the texts of the outcomes be what the database can hold.
func (q *Queue) storable(ctx context.Context, settlements []Settlement) ([]Settlement, error) {
	encoding := q.encoding.Load()
	if encoding == nil {
		conn, err := q.pool.Acquire(ctx)
		if err != nil {
			return settlements, err
		}
		defer conn.Release()
		known := encodingOf(conn.Conn())
		encoding = &known
		q.encoding.Store(encoding)
	}
	list := slices.Clone(settlements)
	for i := range list {
		list[i].Outcome = list[i].Outcome.storable(*encoding)
	}
	return list, nil
}

// storable is the same outcome, with texts that a database of this encoding can hold.
func (o Outcome) storable(encoding string) Outcome {
	o.attempt.Error, o.attempt.Response = storable(encoding, o.attempt.Error), storable(encoding, o.attempt.Response)
	return o
}

// badData reports whether an error is about the data to be written: an invalid value, or a constraint (SQLSTATE classes
// 22 and 23).
func badData(err error) bool {
	code := postgres.Code(err)
	return strings.HasPrefix(code, "22") || strings.HasPrefix(code, "23")
}

func (q *Queue) settle(ctx context.Context, settlements []Settlement) (Settled, error) {
	ctx, cancel := q.bounded(ctx)
	defer cancel()
	settlements, err := q.storable(ctx, settlements)
	if err != nil {
		return Settled{}, fmt.Errorf("settling %d messages: %w", len(settlements), postgres.Safe(err))
	}
	judged := q.judge(settlements)
	delivered, others := apart(settlements)
	recorded, elsewhere, err := q.record(ctx, delivered, others, judged)
	if postgres.Code(err) == uniqueViolation {
		recorded, elsewhere, err = q.record(ctx, nil, settlements, judged)
	}
	applied := recorded.applied
	if err == nil && len(elsewhere) > 0 {
		var late int
		late, err = q.recordAny(ctx, elsewhere)
		applied += late
	}
	if err != nil {
		q.suspect(err)
		return Settled{}, fmt.Errorf("settling %d messages: %w", len(settlements), postgres.Safe(err))
	}
	q.remember(judged)
	q.tellExhausted(settlements, recorded.dead)
	return Settled{Applied: applied, Refused: len(settlements) - applied}, nil
}

// recorded is what became of settlements: how many were applied, and which messages are dead by them.
type recorded struct {
	applied int
	dead    []int64
}

func (q *Queue) tellExhausted(settlements []Settlement, dead []int64) {
	for i := range settlements {
		if m := &settlements[i].Message; slices.Contains(dead, m.Row) {
			q.unsent.note(Exhausted, m.ID, m.Endpoint)
			dead = slices.DeleteFunc(dead, func(row int64) bool { return row == m.Row })
		}
	}
}

// record writes settlements and judgements in one transaction, and returns the 2xx whose messages were not found at the
// endpoint that they had been sent to.
func (q *Queue) record(ctx context.Context, delivered, others []Settlement,
	judged judgements) (done recorded, elsewhere []Settlement, err error) {
	found := map[int64]bool{}
	var changes []EndpointChange
	err = transact(ctx, q.pool, func(b *pgx.Batch) {
		if len(delivered) > 0 {
			s := settlingDelivered(delivered)
			b.Queue(s.sql, s.args...).Query(func(rows pgx.Rows) error {
				var id int64
				_, err := pgx.ForEachRow(rows, []any{&id}, func() error {
					found[id] = true
					return nil
				})
				return err
			})
		}
		if len(others) > 0 {
			lock, settle := settling(others)
			b.Queue(lock.sql, lock.args...)
			b.Queue(settle.sql, settle.args...).QueryRow(func(row pgx.Row) error { return row.Scan(&done.applied, &done.dead) })
		}
		judged.queue(b, q.breaker, func(c EndpointChange) { changes = append(changes, c) })
	})
	if err == nil {
		q.logChanges(changes)
	}
	for _, s := range delivered {
		if !found[s.Message.Row] {
			elsewhere = append(elsewhere, s)
		}
	}
	done.applied += len(delivered) - len(elsewhere)
	return done, elsewhere, err
}

// recordAny writes settlements down wherever their messages are now.
func (q *Queue) recordAny(ctx context.Context, settlements []Settlement) (applied int, err error) {
	lock, settle := settling(settlements)
	_, err = collect(ctx, q.pool, func(row pgx.CollectableRow) (bool, error) {
		return true, row.Scan(&applied, nil)
	}, lock, settle)
	return applied, err
}

// apart takes the 2xx apart, in the order of their messages, so that two settlers lock the same rows in the same order.
func apart(settlements []Settlement) (delivered, others []Settlement) {
	delivered = make([]Settlement, 0, len(settlements))
	for _, s := range settlements {
		if s.Outcome.state == StateDelivered {
			delivered = append(delivered, s)
		} else {
			others = append(others, s)
		}
	}
	slices.SortFunc(delivered, func(a, b Settlement) int { return cmp.Compare(a.Message.Row, b.Message.Row) })
	return delivered, others
}

func settlingDelivered(settlements []Settlement) statement {
	n := len(settlements)
	ids, endpoints, started := make([]int64, n), make(pgtype.FlatArray[pgtype.UUID], n), make([]time.Time, n)
	durations, statuses, responses := make([]int32, n), make([]int32, n), make(pgtype.FlatArray[pgtype.Text], n)
	for i := range settlements {
		m, a := &settlements[i].Message, &settlements[i].Outcome.attempt
		ids[i], endpoints[i], started[i] = m.Row, pgtype.UUID{Bytes: m.Endpoint, Valid: true}, a.StartedAt
		durations[i] = int32(a.Duration.Milliseconds()) //nolint:gosec // bounded by DELIVERY_TIMEOUT
		statuses[i] = int32(a.Status)                   //nolint:gosec // three digits
		responses[i] = filled(a.Response)
	}
	return statement{settleDeliveredSQL, []any{ids, endpoints, started, durations, statuses, responses}}
}

// settling returns the statement that settles, and the one that locks what it changes, which goes before it.
func settling(settlements []Settlement) (lock, settle statement) {
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
		started = append(started, attempt.StartedAt)
		durations = append(durations, int32(attempt.Duration.Milliseconds())) //nolint:gosec // bounded by DELIVERY_TIMEOUT
		var status *int32
		if attempt.Status != 0 {
			status = new(int32)
			*status = int32(attempt.Status) //nolint:gosec // three digits
		}
		statuses = append(statuses, status)
		failures, responses = append(failures, optional(attempt.Error)), append(responses, optional(attempt.Response))
	}
	lock = statement{settleLockSQL, []any{ids, leases, states}}
	settle = statement{settleSQL, []any{ids, leases, states, waits, stepped, started, durations, statuses, failures,
		responses}}
	return lock, settle
}
