package outbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/postgres"
	"attendee-relay/internal/secret"
	"attendee-relay/replication"
)

// inlineTimeout bounds the payload query while capture waits for it; a slower one is left to the Resolver, which has
// SOURCE_QUERY_TIMEOUT.
const inlineTimeout = time.Second

// Recorder makes commits durable: it finds their acceptances and writes messages, ledger and checkpoint. It implements
// replication.Recorder and replication.Books; one process leads at a time, the fence sees to it.
type Recorder struct {
	config     Config
	deployment string
	settings   Settings
	writer     *writer
	reader     *reader
	board      *fault.Board
	log        *zap.Logger
	signals    Signals
	// senders is nil where nobody sends without a claim.
	senders Senders

	// opened is also read by the Resolver.
	opened atomic.Pointer[opened]
	// look is the comparison of ledger and table that is under way; nil: none.
	lookMu sync.Mutex
	look   *look
	looks  int64
	// seen: transactions up to seenUntil that this snapshot shows are in the baseline already.
	seen      snapshot
	seenUntil pglogrepl.LSN
	// ahead is what was prepared last; nil: nothing is left to be stored.
	ahead *ahead
	yield yield
	// spooling is the large transaction whose parts are arriving; nil: none.
	spooling *spooling
	// renderLate: the payload query failed last, so acceptances wait for the Resolver until it succeeds there.
	renderLate atomic.Bool
	// spoolBatch is how many rows one step of applying the spool handles.
	spoolBatch int

	acceptances prometheus.Counter
}

// opened is what the bookkeeping was opened for.
type opened struct {
	systemID string
	source   *replication.Source
}

// Settings are the settings that the ledger rests on: with others its rows would mean something else.
type Settings struct {
	Table    string   `json:"table"`
	Key      string   `json:"key"`
	Status   string   `json:"status"`
	Accepted []string `json:"accepted"`
	Repeat   string   `json:"repeat"`
}

// Signals tell other stages at once what they would find by themselves later. Both must not block.
type Signals struct {
	// Messages: there are new messages to claim.
	Messages func()
	// Waiting: there are acceptances to evaluate.
	Waiting func()
}

// NewRecorder makes a Recorder whose connections go to url, which must not be a pooler's. It does not connect yet.
func NewRecorder(c Config, settings Settings, url secret.String, deployment string, board *fault.Board, signals Signals, log *zap.Logger) (*Recorder, error) {
	q, err := newQuery(c)
	if err != nil {
		return nil, err
	}
	name := "attendee-relay/" + deployment
	return &Recorder{
		config: c, settings: settings, deployment: deployment, board: board, signals: signals, log: log.Named("outbox"),
		writer:     &writer{url: url, name: name + " writer"},
		reader:     &reader{url: url, name: name + " reader", query: q},
		spoolBatch: spoolBatch,
		acceptances: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "attendee_relay_acceptances_total",
			Help: "Acceptances recorded by this process.",
		}),
	}, nil
}

// HandOver has new messages sent by s where it has places for them. It is called before anything is recorded; without it all
// messages are claimed.
func (r *Recorder) HandOver(s Senders) { r.senders = s }

// Register adds the Recorder's metrics to reg.
func (r *Recorder) Register(reg prometheus.Registerer) { reg.MustRegister(r.acceptances) }

// Close closes the Recorder's connections.
func (r *Recorder) Close(ctx context.Context) {
	r.writer.close(ctx)
	r.reader.close(ctx)
}

// Prepare implements replication.Recorder.
func (r *Recorder) Prepare(ctx context.Context, commits []replication.Commit) (replication.Recording, error) {
	if !slices.ContainsFunc(commits, func(c replication.Commit) bool { return large(&c) }) {
		return r.prepare(ctx, commits)
	}
	ahead := r.setAhead(nil)
	return func(ctx context.Context) error {
		defer ahead.end()
		return r.record(ctx, commits)
	}, nil
}

// record prepares and stores commits of which some are large, each after those before it.
func (r *Recorder) record(ctx context.Context, commits []replication.Commit) error {
	for len(commits) > 0 {
		if large(&commits[0]) {
			if err := r.spool(ctx, &commits[0]); err != nil {
				return err
			}
			commits = commits[1:]
			continue
		}
		n := 1
		for n < len(commits) && !large(&commits[n]) {
			n++
		}
		b, err := r.read(ctx, commits[:n], newPrior(commits[:n]))
		if err == nil {
			err = r.store(ctx, b)
		}
		if err != nil {
			return err
		}
		commits = commits[n:]
	}
	return nil
}

// large reports whether a transaction is recorded by way of the spool: it does not fit into memory, or it empties the
// table and may so change every row of the ledger.
func large(c *replication.Commit) bool {
	if c.More || c.Part > 0 {
		return true
	}
	for _, change := range c.Changes {
		if change.Op == replication.Truncate {
			return true
		}
	}
	return false
}

// Advance implements replication.Recorder.
func (r *Recorder) Advance(ctx context.Context, to pglogrepl.LSN) error {
	return r.writer.write(ctx, to, func(*pgx.Batch) {})
}

// prepare reads what commits that fit into memory come to, of which one transaction is made.
func (r *Recorder) prepare(ctx context.Context, commits []replication.Commit) (replication.Recording, error) {
	if err := r.yield.wait(ctx, commits); err != nil {
		return nil, err
	}
	prior := newPrior(commits)
	if err := r.ahead.await(ctx, prior.identities); err != nil {
		return nil, err
	}
	r.yield.ask(ctx, commits, r.reader.applicationWrites)
	began := time.Now()
	b, err := r.read(ctx, commits, prior)
	if err != nil {
		return nil, err
	}
	r.yield.read(time.Since(began))
	ahead := r.setAhead(b)
	return func(ctx context.Context) error {
		defer ahead.end()
		began := time.Now()
		err := r.store(ctx, b)
		r.yield.writing.Store(int64(time.Since(began)))
		return err
	}, nil
}

// read takes a snapshot that shows the commits, and finds out in it what they come to.
func (r *Recorder) read(ctx context.Context, commits []replication.Commit, prior *prior) (b *batch, err error) {
	err = r.whenVisible(ctx, commits, prior.ask, func() error {
		b, err = r.evaluate(ctx, commits, prior)
		return err
	})
	return b, err
}

// store stores a batch and tells of it.
func (r *Recorder) store(ctx context.Context, b *batch) error {
	left, err := r.write(ctx, b, true)
	if postgres.Code(err) == uniqueViolation {
		left, err = r.write(ctx, b, false)
	}
	if err != nil {
		return err
	}
	r.name(b.identities, false)
	r.acceptances.Add(float64(b.accepted))
	r.signal(left, len(b.waiting) > 0 || len(b.touched) > 0)
	return nil
}

// write stores a batch, and sends of its messages what can be sent at once. plain: the bookkeeping has none of its rows yet.
func (r *Recorder) write(ctx context.Context, b *batch, plain bool) (left bool, err error) {
	sending := r.handOver(&b.messages)
	err = r.writer.write(ctx, b.end, func(q *pgx.Batch) {
		b.write(q, plain)
		sending.queue(q, plain)
	})
	return sending.settle(err), err
}

func (r *Recorder) signal(messages, waiting bool) {
	if messages {
		r.signals.Messages()
	}
	if waiting {
		r.signals.Waiting()
	}
}

// whenVisible calls read in a snapshot that shows all of the commits, and in which ask has asked. The stream runs ahead of what other sessions see,
// for as long as a synchronous standby lags: until then nothing is recorded and nothing is confirmed.
func (r *Recorder) whenVisible(ctx context.Context, commits []replication.Commit, ask func(*pgx.Batch), read func() error) error {
	wait, started := time.Millisecond, time.Now()
	for {
		visible := false
		err := r.reader.in(ctx, ask, func(taken snapshot) error {
			for i := range commits {
				if !taken.sees(commits[i].XID) {
					return nil
				}
			}
			visible = true
			return read()
		})
		if err != nil || visible {
			return err
		}
		if time.Since(started) > time.Second && wait < 100*time.Millisecond {
			r.log.Warn("the stream is ahead of what other sessions see: waiting", zap.Stringer("commit_lsn", commits[0].CommitLSN))
		}
		select {
		case <-time.After(wait):
			wait = min(2*wait, 100*time.Millisecond)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// inBaseline reports whether the baseline's snapshot shows the commit already: a slot that was there before the first
// start repeats such transactions.
func (r *Recorder) inBaseline(c *replication.Commit) bool {
	return c.EndLSN <= r.seenUntil && r.seen.sees(c.XID)
}

// render runs the payload query for acceptances inside the reader's snapshot. When it cannot, the acceptances wait: a
// failing query never stops capture.
func (r *Recorder) render(ctx context.Context, found []acceptance) (ready messages, waiting []acceptance, err error) {
	if len(found) == 0 {
		return messages{}, nil, nil
	}
	if r.config.Settle > 0 || r.renderLate.Load() {
		return messages{}, found, nil
	}
	rows, err := r.reader.payloads(ctx, keysOf(found), min(inlineTimeout, r.config.QueryTimeout), r.config.DefaultURL)
	if err != nil {
		if postgres.Unreachable(err) || ctx.Err() != nil {
			return messages{}, nil, fmt.Errorf("running the payload query: %w", err)
		}
		r.log.Warn("the payload query failed: the acceptances wait", zap.String("reason", failure(err)), zap.Int("acceptances", len(found)))
		r.renderLate.Store(true)
		return messages{}, found, nil
	}
	r.board.Clear(fault.QueryFailing, fault.QueryInvalid)
	for _, a := range found {
		if !ready.add(r.opened.Load().systemID, a, rows) {
			waiting = append(waiting, a)
		}
	}
	return ready, waiting, nil
}

// queryFailed shows that no payload can be rendered: as query_invalid when the query cannot even be prepared.
func (r *Recorder) queryFailed(err error) {
	var f *fault.Fault
	if !errors.As(err, &f) {
		f = fault.New(fault.QueryFailing, "%s", failure(err)).
			WithFix("correct the payload query, or what it reads; the acceptances wait")
	}
	if r.board.Raise(f) {
		r.log.Error("acceptances wait for the payload query", zap.String("fault", string(f.Code)), zap.String("reason", f.Message))
	}
}

func keysOf(found []acceptance) []string {
	seen := make(map[string]bool, len(found))
	var keys []string
	for _, a := range found {
		if a.key != nil && !seen[*a.key] {
			seen[*a.key] = true
			keys = append(keys, *a.key)
		}
	}
	return keys
}
