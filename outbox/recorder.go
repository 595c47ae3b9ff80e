package outbox

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/jackc/pglogrepl"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/secret"
	"attendee-relay/replication"
)

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
	unsent  *Unsent

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
	// broken: the query failed for a reason that is not about a key, and has not worked since. workedAt is when it worked
	// last, in nanoseconds since 1970.
	broken   atomic.Bool
	workedAt atomic.Int64
	// portion is how many keys are rendered at once.
	portion portion
	// spoolBatch is how many rows one step of applying the spool handles.
	spoolBatch int

	acceptances prometheus.Counter
}

// opened is what the bookkeeping was opened for.
type opened struct {
	systemID string
	source   *replication.Source
}

// Signals tell other stages at once what they would find by themselves later. Both must not block.
type Signals struct {
	// Messages: there are new messages to claim.
	Messages func()
	// Waiting: there are acceptances to evaluate.
	Waiting func()
}

// NewRecorder makes a Recorder whose connections go to url, which must not be a pooler's. It does not connect yet.
func NewRecorder(c Config, settings Settings, url secret.String, deployment string, board *fault.Board, signals Signals,
	log *zap.Logger) (*Recorder, error) {
	q, err := newQuery(c)
	if err != nil {
		return nil, err
	}
	name := "attendee-relay/" + deployment
	r := &Recorder{
		config: c, settings: settings, deployment: deployment, board: board, signals: signals, log: log.Named("outbox"),
		writer:     &writer{url: url, name: name + " writer", limit: writeTimeout},
		reader:     &reader{url: url, name: name + " reader", query: q},
		portion:    newPortion(renderLimit),
		spoolBatch: spoolBatch,
		acceptances: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "attendee_relay_acceptances_total",
			Help: "Acceptances recorded by this process.",
		}),
	}
	board.AskHolders(r.lockHolders)
	return r, nil
}

// HandOver has new messages sent by s where it has places for them. It is called before anything is recorded; without
// it all messages are claimed.
func (r *Recorder) HandOver(s Senders) { r.senders = s }

// Report has the Recorder tell u of the messages that it ends at once. It is called before anything is recorded.
func (r *Recorder) Report(u *Unsent) { r.unsent = u }

// Register adds the Recorder's metrics to reg.
func (r *Recorder) Register(reg prometheus.Registerer) { reg.MustRegister(r.acceptances) }

// Close closes the Recorder's connections.
func (r *Recorder) Close(ctx context.Context) {
	r.writer.close(ctx)
	r.reader.close(ctx)
}
