package outbox

import (
	"context"
	_ "embed"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"attendee-relay/internal/postgres"
	"attendee-relay/internal/secret"
)

var (
	//go:embed sql/claim.sql
	claimSQL string
	//go:embed sql/claim_turn.sql
	claimTurnSQL string
	//go:embed sql/probe.sql
	probeSQL string
)

// ClaimRequest says how much a claim may take.
type ClaimRequest struct {
	// Limit is the most messages to take.
	Limit int
	// Lease is how long nobody else may take them.
	Lease time.Duration
	// PerEndpoint is the most messages of one endpoint that the claimer may hold; Busy counts those it holds already. The
	// claim takes at most PerEndpoint minus Busy of an endpoint, and at most one minus Busy of an endpoint whose last
	// attempt failed. Ahead is how many more messages may wait in memory for an endpoint that is well. Only endpoints in
	// Busy are looked up in it.
	PerEndpoint int
	Busy, Ahead map[uuid.UUID]int
	// Trial is the most messages of endpoints on trial to take, TrialMore the most while they hold more than one each.
	Trial, TrialMore int
	// SmallBody is how many bytes a body may have that is taken in any case; 0: any number. LargeBytes is how many
	// those above it may have together. Alone: one may have more, if it is the only one.
	SmallBody, LargeBytes int
	Alone                 bool
	// InTurn has the claim wait for those of other processes, which would choose the same messages.
	InTurn bool
}

// ProbeBytes bounds the bodies of probes that are taken at once.
const ProbeBytes = 8 << 20

// claimLock is the advisory lock under which claims take turns.
const claimLock = 0x617474656e646566

// turnPatience is how long a claim waits for its turn before it does without.
const turnPatience = 250 * time.Millisecond

// Claim takes due messages under a fresh lease. It takes only the oldest message of an attendee and endpoint: an
// earlier acceptance is never sent after a later one. It takes none of endpoints that are paused or disabled.
func (q *Queue) Claim(ctx context.Context, request ClaimRequest) ([]Message, error) {
	small := request.SmallBody
	if small == 0 {
		small = math.MaxInt32
	}
	busy := make(pgtype.FlatArray[pgtype.UUID], 0, len(request.Busy))
	held, ahead := make([]int32, 0, len(request.Busy)), make([]int32, 0, len(request.Busy))
	for endpoint, n := range request.Busy {
		busy = append(busy, pgtype.UUID{Bytes: endpoint, Valid: true})
		held = append(held, int32(n))                         //nolint:gosec // thousands
		ahead = append(ahead, int32(request.Ahead[endpoint])) //nolint:gosec // thousands
	}
	messages, err := q.lease(ctx, "claiming messages", request.Lease, func(token uuid.UUID) []statement {
		claim := statement{claimSQL, []any{request.Limit, interval(request.Lease), request.PerEndpoint, busy, held, token,
			q.deployment, request.Trial, interval(RecoveryTime), request.TrialMore, ahead,
			small, request.LargeBytes, request.Alone}}
		if request.InTurn {
			return []statement{{claimTurnSQL, []any{int64(claimLock), strconv.FormatInt(q.turnPatience.Milliseconds(), 10)}},
				claim}
		}
		return []statement{claim}
	})
	if request.InTurn && postgres.Code(err) == "55P03" { // whose turn it is takes too long
		request.InTurn = false
		return q.Claim(ctx, request)
	}
	return messages, err
}

// Probe takes, under a lease, the oldest message of each paused endpoint whose probe is due, at most limit of them,
// with ProbeBytes of bodies, or one. Of all processes only one gets it.
func (q *Queue) Probe(ctx context.Context, limit int, lease time.Duration) ([]Message, error) {
	messages, err := q.lease(ctx, "looking for endpoints to probe", lease, func(token uuid.UUID) []statement {
		return []statement{{probeSQL, []any{limit, interval(lease), token, q.deployment, interval(RecoveryTime), ProbeBytes}}}
	})
	for i := range messages {
		messages[i].Standing.Probe = true
	}
	return messages, err
}

// lease runs statements of which the last leases messages.
func (q *Queue) lease(ctx context.Context, doing string, lease time.Duration,
	taking func(token uuid.UUID) []statement) ([]Message, error) {
	ctx, cancel := q.bounded(ctx)
	defer cancel()
	token := uuid.New()
	// Read before the claim is sent, so that the lease never ends earlier in the database than here.
	asked := time.Now()
	ends := asked.Add(lease)
	leased, err := collect(ctx, q.pool, func(row pgx.CollectableRow) (Message, error) {
		m := Message{Token: token, LeaseEnds: ends}
		var key, headers string
		var committed *time.Time
		var recovering, age float64
		err := row.Scan(&m.Row, &m.ID, &m.Endpoint, &m.URL, &key, &m.HadSecret, &headers,
			&m.Payload, &m.Attempts, &m.Step, &committed, &m.Retry,
			&m.Standing.Trial, &recovering, &m.Standing.Places, &m.Elders, &age)
		m.ReadAt = asked.Add(-time.Duration(age * float64(time.Second)))
		m.Secret, m.Headers = secret.New(key), secret.New(headers)
		if committed != nil {
			m.CommittedAt = *committed
		}
		m.Standing.Recovering = recovering >= 0
		m.Standing.Recovered = time.Duration(max(recovering, 0) * float64(time.Second))
		return m, err
	}, taking(token)...)
	if noOutbox(err) {
		return nil, nil
	}
	if err != nil {
		q.suspect(err)
		return nil, fmt.Errorf("%s: %w", doing, postgres.Safe(err))
	}
	return leased, nil
}
