package delivery

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"attendee-relay/internal/fault"
	"attendee-relay/outbox"
)

// Store is where messages are leased from and outcomes go to. Its errors hold neither a URL nor connection data: they
// are logged.
type Store interface {
	// Claim leases due messages, at most req.Limit of them and at most the Places of its Standing minus req.Busy of an
	// endpoint. Fewer than both bounds allow means that no more are due.
	Claim(ctx context.Context, req outbox.ClaimRequest) ([]outbox.Message, error)
	// Probe leases the oldest message of each paused endpoint whose probe is due, at most limit of them.
	Probe(ctx context.Context, limit int, lease time.Duration) ([]outbox.Message, error)
	// Refresh looks up where leased messages go now, and with which secret. It returns those to be sent under their lease;
	// with an error, those that may be.
	Refresh(ctx context.Context, messages []outbox.Message) ([]outbox.Message, error)
	// Look does so for some messages of one endpoint that gets nothing, and reports whether it was some endpoint's turn.
	Look(ctx context.Context) (bool, error)
	// Release ends the leases of messages that are not sent, and returns those that it did not find.
	Release(ctx context.Context, messages []outbox.Message) (missed []outbox.Message, err error)
	// Settle records every outcome, or none and returns an error; what comes after its lease is refused, not an error.
	// It may get the same settlements again after an error.
	Settle(ctx context.Context, settlements []outbox.Settlement) (outbox.Settled, error)
}

// exchanger makes one HTTP exchange for a message, within the timeout; Sender is one.
type exchanger interface {
	Send(ctx context.Context, m outbox.Message) Exchange
	CloseIdleConnections()
}

// Dispatcher claims messages, or takes them over as they are recorded, sends them and settles them.
type Dispatcher struct {
	store    Store
	sender   exchanger
	metrics  *Metrics
	log      *zap.Logger
	timeout  time.Duration
	lease    time.Duration
	shutdown time.Duration
	policy   policy
	gate     *gate
	handover *handover
	// notSent are given back.
	notSent    *givenBack
	unrecorded *unrecorded
	pace       *pace
	// crowded: the last claim found no free place. It belongs to the goroutine that claims.
	crowded bool
	nudged  chan struct{}
	// backlog: the last claim found messages, so that other processes probably claim as well.
	backlog  bool
	claims   outage
	retry    backoff
	settler  settler
	refresh  refresher
	tasks    tasks
	shortage *shortage
	// failed is when an attempt failed last, in nanoseconds since 1970.
	failed atomic.Int64
}

// NewDispatcher returns a Dispatcher; shutdown is how long Run may take after its context ended.
func NewDispatcher(cfg Config, shutdown time.Duration, store Store, sender exchanger, metrics *Metrics,
	board *fault.Board, log *zap.Logger) *Dispatcher {
	log = log.Named("delivery")
	tasks := newTasks(board, cfg.Timeout)
	d := &Dispatcher{
		tasks: tasks, shortage: &shortage{task: tasks.connecting},
		store: store, sender: sender, metrics: metrics, log: log,
		timeout: cfg.Timeout, lease: cfg.Lease(), shutdown: shutdown,
		policy:     policy{schedule: cfg.RetrySchedule, random: rand.Float64},
		gate:       newGate(cfg.Concurrency, cfg.EndpointConcurrency),
		pace:       newPace(cfg.EndpointRate),
		notSent:    &givenBack{store: store, log: log},
		unrecorded: newUnrecorded(),
		nudged:     make(chan struct{}, 1),
		claims:     outage{log: log, what: "claiming messages"},
		retry:      backoff{random: rand.Float64},
		refresh: refresher{store: store, stale: make(chan []outbox.Message, cfg.Concurrency),
			lost: outage{log: log, what: "asking for the URLs of messages to be tried again"}, task: tasks.refreshing},
	}
	d.settler = settler{store: store, unrecorded: d.unrecorded, leave: d.leave, late: metrics.late,
		random: rand.Float64, task: tasks.settling,
		outage: outage{log: log, what: "recording outcomes"}, aside: aside{log: log, task: tasks.unstorable}}
	// At a bounded rate an endpoint gets what the claim loop, which keeps the count, says.
	d.handover = newHandover(d.gate, d.lease, func() bool {
		return cfg.EndpointRate > 0 || d.settler.outage.failing.Load() || d.shortage.holds(time.Now())
	}, d.leave)
	return d
}

// Nudge says that there may be new messages. It never waits; a nudge that is lost costs no more than a poll.
func (d *Dispatcher) Nudge() {
	select {
	case d.nudged <- struct{}{}:
	default:
	}
}

// Senders are the Dispatcher's, for those who record messages. They have places while Run runs.
func (d *Dispatcher) Senders() outbox.Senders { return d.handover }

// Run delivers until ctx ends. Then it claims no more, lets the requests in flight finish and records them, and returns
// nil, all within the shutdown time. It may be called once.
//
// Three contexts follow each other: ctx ends the claiming; requests ends, a little before the time is up, what is still
// in flight then; records ends, when it is up, the attempts to record. A message that was claimed and not sent is given
// back, or comes due again with the end of its lease.
func (d *Dispatcher) Run(ctx context.Context) error {
	requests, endRequests := outlive(ctx, d.shutdown-recordTime(d.shutdown), errInterrupted)
	defer endRequests()
	records, endRecords := outlive(ctx, d.shutdown, errInterrupted)
	defer endRecords()
	defer d.sender.CloseIdleConnections()

	// Senders do not wait while a batch is being recorded.
	results := make(chan outbox.Settlement, max(d.gate.total, settleBatch))
	var settling sync.WaitGroup
	settling.Go(func() { d.settler.run(records, results) })

	var flying, refreshing sync.WaitGroup
	var send func(outbox.Message)
	send = func(m outbox.Message) {
		d.unrecorded.begin(&m)
		flying.Go(func() {
			for more := true; more; {
				settlement, attempted := d.deliver(requests, m)
				if attempted {
					results <- settlement
				} else {
					d.leave(d.unrecorded.cancel(m))
				}
				d.gate.release(&m, time.Now(), attempted)
				if m, more = d.next(); more {
					d.unrecorded.begin(&m)
					d.follow(send)
				}
			}
		})
	}
	refreshing.Go(func() { d.refresh.run(ctx, requests, d.inTime(send), d.giveBack(send)) })
	d.handover.begin(d.inTime(send), func() { d.follow(send) })
	d.claimUntil(ctx, requests, send)
	d.leave(d.gate.disband()...)
	d.handover.end(requests)
	d.leave(d.gate.disband()...)
	d.refresh.end()
	refreshing.Wait()
	_ = d.notSent.release(requests) // others may send them meanwhile; it is tried again
	flying.Wait()
	if err := d.notSent.release(records); err != nil {
		d.log.Warn("messages that could not be sent come due with the end of their lease", zap.Error(err))
	}
	close(results)
	settling.Wait()
	return nil
}

// deliver sends one message and decides its outcome. If this process cannot open a connection there is no attempt.
func (d *Dispatcher) deliver(ctx context.Context, m outbox.Message) (s outbox.Settlement, attempted bool) {
	may, try := d.shortage.begin(time.Now())
	if !may {
		return s, false
	}
	// The process may have stood still since the message was found to be timely.
	ctx, cancel := context.WithDeadlineCause(ctx, m.LeaseEnds.Add(-recording), errInterrupted)
	defer cancel()
	d.tasks.sending.Begin()
	x := d.sender.Send(ctx, m)
	d.tasks.sending.End(nil)
	if d.shortage.end(time.Now(), x.fate == postponed, x.Reused, try) {
		d.Nudge()
	}
	if x.fate == postponed {
		return s, false
	}
	outcome := d.policy.outcome(&m, x, time.Now())
	if x.fate != delivered {
		d.failed.Store(time.Now().UnixNano())
	}
	d.leave(d.gate.judge(m.Endpoint, x.fate == delivered, x.Attempt.Duration)...)
	d.metrics.observe(&m, outcome)
	d.report(&m, x.Reason, outcome)
	m.Payload = nil // nobody sends it again
	return outbox.Settlement{Message: m, Outcome: outcome}, true
}

// report logs an attempt in one line. Delivered and retried messages are the relay's daily work and logged as Info; a
// message that is given up needs somebody's attention, and is a Warn. The receiver's answer stays in the database.
func (d *Dispatcher) report(m *outbox.Message, reason Reason, outcome outbox.Outcome) {
	level := zap.InfoLevel
	if outcome.State() == outbox.StateDead {
		level = zap.WarnLevel
	}
	line := d.log.Check(level, "attempt")
	if line == nil {
		return
	}
	attempt := outcome.Attempt()
	line.Write(
		zap.String("message_id", m.ID),
		zap.Stringer("endpoint", m.Endpoint),
		zap.Int("attempt", m.Attempts+1),
		zap.Int("status", attempt.Status),
		zap.Duration("duration", attempt.Duration),
		zap.String("outcome", outcomeNames[outcome.State()]),
		zap.String("reason", string(reason)),
		zap.String("error", attempt.Error),
		zap.Duration("wait", outcome.Wait()),
	)
}

// recordTime is the end of the shutdown time, kept for recording what was cut off in flight.
func recordTime(shutdown time.Duration) time.Duration { return min(shutdown/4, 5*time.Second) }

// outlive returns a context that ends that long after ctx, with cause.
func outlive(ctx context.Context, by time.Duration, cause error) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if pause(longer, by) {
			cancel(cause)
		}
	})
	return longer, func() {
		stop()
		cancel(nil)
	}
}
