package outbox

import (
	_ "embed"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

var (
	//go:embed sql/endpoint_add.sql
	endpointAddSQL string
	//go:embed sql/endpoint_judge.sql
	endpointJudgeSQL string
)

// judgement is what a batch of outcomes says of one endpoint.
type judgement struct {
	url      string
	answered bool
	// failures since the last 2xx of the batch.
	failures     int32
	gone, probed bool
	// wait is how long the receiver asks to be left alone.
	wait time.Duration
	// well: it was well when the messages were claimed, and nothing has been told to its disadvantage since.
	well  bool
	error string
}

// judgements are those by endpoint, in the order in which their outcomes came.
type judgements map[uuid.UUID]*judgement

// judge sums up the results of settlements for their endpoints. It leaves out endpoints that are well and stay so:
// nothing has to be written for them, and almost all are.
func (q *Queue) judge(settlements []Settlement) judgements {
	q.mu.Lock()
	defer q.mu.Unlock()
	all, now := judgements{}, time.Now()
	for i := range settlements {
		message, outcome := &settlements[i].Message, &settlements[i].Outcome
		// A failure that is told after the lease is that of a relay which slept, more likely than the endpoint's.
		if outcome.effect == effectNone || outcome.effect == effectFailed && now.After(message.LeaseEnds) {
			continue
		}
		j := all[message.Endpoint]
		if j == nil {
			j = &judgement{url: message.URL, well: !q.ailing[message.Endpoint]}
			all[message.Endpoint] = j
		}
		j.well = j.well && message.Standing.Well()
		j.probed, j.wait = j.probed || message.Standing.Probe, max(j.wait, outcome.asked)
		switch outcome.effect {
		case effectAnswered:
			j.answered, j.failures = true, 0
		case effectGone:
			j.gone = true
			fallthrough
		default:
			j.failures++
			j.error = outcome.attempt.Error
		}
	}
	for endpoint, j := range all {
		if j.well && j.failures == 0 && !j.gone {
			delete(all, endpoint)
		}
	}
	return all
}

// remember keeps in mind which endpoints a later 2xx must be told of.
func (q *Queue) remember(judged judgements) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for endpoint, j := range judged {
		if j.failures > 0 {
			q.ailing[endpoint] = true
		} else {
			delete(q.ailing, endpoint)
		}
	}
}

// queue adds the statements that write the judgements, none if there are none. changed gets the endpoints whose state
// they change.
func (all judgements) queue(b *pgx.Batch, breaker Breaker, changed func(EndpointChange)) {
	if len(all) == 0 {
		return
	}
	var ids []uuid.UUID
	var urls []string
	var answered, gone, probed []bool
	var failures []int32
	var reasons []*string
	var waits []string
	for endpoint, j := range all {
		ids, urls = append(ids, endpoint), append(urls, j.url)
		answered, gone, probed = append(answered, j.answered), append(gone, j.gone), append(probed, j.probed)
		failures, reasons = append(failures, j.failures), append(reasons, optional(j.error))
		waits = append(waits, interval(j.wait))
	}
	b.Queue(endpointAddSQL, ids, urls)
	b.Queue(endpointJudgeSQL, ids, answered, failures, gone, probed, reasons, breaker.Failures, interval(breaker.Probe),
		interval(RecoveryTime), waits).
		Query(func(rows pgx.Rows) error {
			changes, err := pgx.CollectRows(rows, scanChange)
			for _, c := range changes {
				if c.From != c.To {
					changed(c)
				}
			}
			return err
		})
}
