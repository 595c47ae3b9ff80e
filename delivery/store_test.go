package delivery

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"attendee-relay/outbox"
)

// memoryStore is the outbox as delivery sees it, with its rules for leases: the tests run Dispatcher against it.
type memoryStore struct {
	mu      sync.Mutex
	rows    map[string]*memoryRow
	waiting []*memoryRow // in order; Claim drops those that are pending no more
	claims  []outbox.ClaimRequest
	refused int
	// failClaims, failSettles and failReleases make so many calls fail.
	failClaims, failSettles, failReleases int
	claimCalls, settleCalls               int
	// unstorable makes the outcomes of these messages refused.
	unstorable map[string]bool
	// settled gets every id that was recorded; it is as large as a test needs.
	settled chan string
}

type memoryRow struct {
	message  outbox.Message
	due      time.Time
	token    uuid.UUID
	state    outbox.State
	attempts []outbox.Attempt
	wait     time.Duration
}

var (
	errAway    = errors.New("the database is away")
	errRefused = errors.New("the database refuses it")
)

func newMemoryStore(messages ...outbox.Message) *memoryStore {
	s := &memoryStore{rows: map[string]*memoryRow{}, settled: make(chan string, 20_000)}
	s.add(messages...)
	return s
}

func (s *memoryStore) add(messages ...outbox.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range messages {
		row := &memoryRow{message: m, state: outbox.StatePending}
		s.rows[m.ID] = row
		s.waiting = append(s.waiting, row)
	}
}

func (s *memoryStore) Claim(ctx context.Context, req outbox.ClaimRequest) ([]outbox.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claimCalls++
	if s.failClaims > 0 {
		s.failClaims--
		return nil, errAway
	}
	s.claims = append(s.claims, req)
	now := time.Now()
	type turn struct {
		row  *memoryRow
		turn int
	}
	taken := map[uuid.UUID]int{}
	var turns []turn
	s.waiting = slices.DeleteFunc(s.waiting, func(row *memoryRow) bool { return row.state != outbox.StatePending })
	for _, row := range s.waiting {
		endpoint := row.message.Endpoint
		if row.due.After(now) || taken[endpoint] >= req.PerEndpoint+req.Ahead[endpoint]-req.Busy[endpoint] {
			continue
		}
		taken[endpoint]++
		turns = append(turns, turn{row, req.Busy[endpoint] + taken[endpoint]})
	}
	slices.SortStableFunc(turns, func(a, b turn) int { return a.turn - b.turn })
	var claimed []outbox.Message
	for _, t := range turns[:min(len(turns), req.Limit)] {
		row := t.row
		endpoint := row.message.Endpoint
		row.token = uuid.New()
		row.due = now.Add(req.Lease)
		row.message.Token, row.message.LeaseEnds = row.token, row.due
		row.message.Attempts, row.message.Step = len(row.attempts), len(row.attempts)
		row.message.Standing.Places = req.PerEndpoint + req.Ahead[endpoint]
		claimed = append(claimed, row.message)
	}
	return claimed, ctx.Err()
}

func (s *memoryStore) Probe(context.Context, int, time.Duration) ([]outbox.Message, error) {
	return nil, nil
}

func (s *memoryStore) Refresh(_ context.Context, messages []outbox.Message) ([]outbox.Message, error) {
	return messages, nil
}

func (s *memoryStore) Release(_ context.Context, messages []outbox.Message) (missed []outbox.Message, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failReleases > 0 {
		s.failReleases--
		return nil, errAway
	}
	for i := range messages {
		if row := s.rows[messages[i].ID]; row != nil && row.token == messages[i].Token {
			row.token, row.due = uuid.Nil, time.Time{}
		} else {
			missed = append(missed, messages[i])
		}
	}
	return missed, nil
}

func (s *memoryStore) Look(context.Context) (bool, error) { return false, nil }

func (s *memoryStore) Settle(ctx context.Context, settlements []outbox.Settlement) (outbox.Settled, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settleCalls++
	if s.failSettles > 0 {
		s.failSettles--
		return outbox.Settled{}, errAway
	}
	if err := ctx.Err(); err != nil {
		return outbox.Settled{}, err
	}
	var result outbox.Settled
	for _, settlement := range settlements {
		row, outcome := s.rows[settlement.Message.ID], settlement.Outcome
		if s.unstorable[settlement.Message.ID] {
			result.Unstorable = append(result.Unstorable, outbox.Unstorable{Settlement: settlement, Err: errRefused})
			continue
		}
		if row.token != settlement.Message.Token && outcome.State() != outbox.StateDelivered {
			result.Refused++
			s.refused++
			continue
		}
		result.Applied++
		row.state, row.wait = outcome.State(), outcome.Wait()
		row.due = time.Now().Add(outcome.Wait())
		row.attempts = append(row.attempts, outcome.Attempt())
		s.settled <- settlement.Message.ID
	}
	return result, nil
}

// lease takes a message out of Claim's sight, as the transaction that wrote it does.
func (s *memoryStore) lease(id string, lease time.Duration) outbox.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	row := s.rows[id]
	row.token, row.due = uuid.New(), time.Now().Add(lease)
	row.message.Token, row.message.LeaseEnds = row.token, row.due
	return row.message
}

func (s *memoryStore) row(id string) memoryRow {
	s.mu.Lock()
	defer s.mu.Unlock()
	return *s.rows[id]
}

// await waits until n outcomes were recorded.
func (s *memoryStore) await(t testing.TB, n int) {
	t.Helper()
	for range n {
		receive(t, s.settled, "an outcome to be recorded")
	}
}
