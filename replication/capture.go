package replication

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/postgres"
	"attendee-relay/internal/secret"
)

// captureFaults are the faults that a running stream disproves.
var captureFaults = append(obstacles[:len(obstacles):len(obstacles)], fault.StartPending)

// obstacles are those of captureFaults that end a try to lead.
var obstacles = []fault.Code{
	fault.WALLevel, fault.Privilege, fault.SourceMissing, fault.SourceChanged, fault.SourceDrift, fault.NoReplicaIdentity,
	fault.PublicationMissing, fault.PublicationUnsafe, fault.SlotMissing, fault.SlotLost, fault.SlotBusy,
	fault.SlotsExhausted, fault.ClusterChanged, fault.LSNBehind, fault.InRecovery, fault.SchemaNewer, fault.RowSecurity,
	fault.SlotPending, fault.DatabaseUnreachable, fault.EncodingUnsupported,
	// Those of a first start.
	fault.SendersExhausted, fault.ReplicationRefused, fault.SameDatabase,
}

var (
	// errStandby: another process holds the slot.
	errStandby = errors.New("another process leads")
	// errSettingUp: another process has the setup lock. It may be about to lead, or fail as this one did.
	errSettingUp = fmt.Errorf("another process tries to lead: %w", errStandby)
)

// standbyRetry is how often a standby tries to get the slot.
const standbyRetry = time.Second

// Capture reads the stream for as long as it holds the slot, and tries to get it for as long as it does not.
type Capture struct {
	config     Config
	url        secret.String
	deployment string
	books      Bookkeeping
	recorder   Recorder
	board      *fault.Board
	log        *zap.Logger

	leading   atomic.Bool
	standby   atomic.Bool
	led       atomic.Bool
	recorded  atomic.Uint64
	serverEnd atomic.Uint64
	oldest    atomic.Int64
	retained  atomic.Int64
	resyncs   atomic.Int64
	// tasks are watched by the board.
	tasks tasks
	// locked: this try had the setup lock. stumbled: the last try with the lock failed, and nobody was seen to lead since.
	locked, stumbled bool
	// session is the server's process of the walsender that this process had last.
	session uint32
	// progressed: something was recorded the last time this process led.
	progressed bool
	// unreadable is what the stream carried last that the catalog does not explain; nil: nothing.
	unreadable *unreadable
	patience   patience
	// resynced: a new start was made after a loss, and nothing has been recorded since.
	resynced   bool
	resyncedAt time.Time
	// WatchEvery is how often the catalog is compared with what capture depends on, 30 s unless a test changes it.
	WatchEvery time.Duration
	// toldValues is when the accepted values were looked at last.
	toldValues time.Time
	// Preflight is asked before a first start touches anything; nil: nothing is asked.
	Preflight Preflight
	// PartSize is how many changes of one transaction are held in memory at most.
	PartSize int
}

// NewCapture makes a Capture; url is the direct connection string.
func NewCapture(c Config, url secret.String, deployment string, books Bookkeeping, recorder Recorder,
	board *fault.Board, log *zap.Logger) *Capture {
	capture := &Capture{config: c, url: url, deployment: deployment, books: books, recorder: recorder, board: board,
		WatchEvery: watchEvery, PartSize: PartSize, log: log.Named("replication")}
	capture.tasks = capture.newTasks()
	return capture
}

// Leading reports whether this process holds the slot and records.
func (c *Capture) Leading() bool { return c.leading.Load() }

// StandingBy reports whether another process was seen to lead, and this one has not led since.
func (c *Capture) StandingBy() bool { return c.standby.Load() }

// Led reports whether this process has led.
func (c *Capture) Led() bool { return c.led.Load() }

// Run captures until the context ends. It never gives up: what it cannot do is on the fault board, and is tried again.
func (c *Capture) Run(ctx context.Context) error {
	wait := newBackoff()
	for {
		began := time.Now()
		c.tasks.begin()
		err := c.lead(ctx)
		// A fault that shows at the stream's first commit must not be met several times a second, for ever.
		if c.leading.Swap(false) && (c.progressed || time.Since(began) > maxBackoff) {
			wait.reset()
		}
		if ctx.Err() != nil {
			c.tasks.rest()
			return nil
		}
		pause := c.explain(err, wait)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
}

// explain puts the reason why capture does not run on the board and returns how long to wait before the next try.
func (c *Capture) explain(err error, wait *backoff) time.Duration {
	if errors.Is(err, errSettingUp) && c.stumbled {
		// Of several processes that fail one after the other, each would take the others for the leader.
		c.tasks.still()
		return standbyRetry
	}
	c.stumbled = c.locked && !errors.Is(err, errStandby)
	if errors.Is(err, errStandby) {
		c.standby.Store(true)
		c.tasks.rest()
		c.board.Clear(captureFaults...)
		c.board.Clear(fault.QueryInvalid, fault.QueryFailing) // the leader's to show
		return standbyRetry
	}
	if lost := (*lostSessionError)(nil); errors.As(err, &lost) {
		c.tasks.blocked(err, c.outOfService())
		c.board.Clear(captureFaults...)
		return standbyRetry
	}
	pause := wait.next()
	var f *fault.Fault
	switch {
	case errors.As(err, &f):
	case EncodingUnsupported(err) != nil:
		f = EncodingUnsupported(err)
	case postgres.Unreachable(err):
		f = fault.New(fault.DatabaseUnreachable, "the database cannot be reached for replication%s", refusal(err))
	default:
		// The obstacle of an earlier try is passed; this one is shown if it lasts, or replaces it.
		c.tasks.failed(err, c.outOfService())
		c.board.Clear(captureFaults...)
		c.log.Error("capture stopped and will try again", zap.String("error", fault.Sentence(err)),
			zap.Duration("retry_in", pause))
		return pause
	}
	if c.board.Raise(f) {
		c.log.Error("capture cannot run", zap.String("fault", string(f.Code)), zap.NamedError("cause", err),
			zap.Duration("retry_in", pause))
	}
	c.tasks.rest()
	// A try ends at the first fault: what an earlier try found is passed or no longer known.
	c.board.Clear(besides(f.Code, captureFaults)...)
	return pause
}

// outOfService reports whether this process is already not ready, without a role or with a fault: then the reason is
// shown at once.
func (c *Capture) outOfService() bool {
	return !c.standby.Load() && !c.led.Load() || c.board.Holds(captureFaults...)
}

// besides returns the codes except one.
func besides(one fault.Code, codes []fault.Code) []fault.Code {
	return slices.DeleteFunc(slices.Clone(codes), func(code fault.Code) bool { return code == one })
}

// refusal says why a connection failed, if that is what err is about.
func refusal(err error) string {
	if reason := postgres.Reason(err); reason != "" {
		return ": " + reason
	}
	return ""
}

// lead gets hold of the slot, takes the bookkeeping over and streams until something fails.
func (c *Capture) lead(ctx context.Context) error {
	conn, at, source, err := c.prepare(ctx)
	if err != nil {
		return err
	}
	defer closeWalsender(conn)
	starting, cancel := context.WithTimeoutCause(ctx, checkTimeout,
		errors.New("the server did not start the stream in time"))
	defer cancel()
	if err := streamAsStored(starting, conn); err != nil {
		return err
	}
	err = pglogrepl.StartReplication(starting, conn, c.config.Slot, 0, pglogrepl.StartReplicationOptions{
		Mode:       pglogrepl.LogicalReplication,
		PluginArgs: []string{"proto_version '1'", "publication_names '" + c.config.Publication + "'"},
	})
	if postgres.Code(err) == "55006" {
		return errStandby
	}
	if err != nil {
		return fmt.Errorf("starting to stream from slot %q: %w", c.config.Slot, err)
	}
	at, err = c.books.Lead(ctx)
	if err != nil {
		return fmt.Errorf("taking the bookkeeping over: %w", err)
	}
	if at.Phase != PhaseStreaming {
		return fmt.Errorf("the bookkeeping went back to phase %q while the slot was taken", at.Phase)
	}
	if err := c.checkHeld(starting, at); err != nil {
		return err
	}
	c.leading.Store(true)
	c.led.Store(true)
	c.locked = false
	c.standby.Store(false)
	c.tasks.started()
	c.board.Clear(captureFaults...)
	c.log.Info("capturing", zap.String("slot", c.config.Slot), zap.Stringer("checkpoint", at.LSN))
	err = c.stream(ctx, conn, source, at.LSN)
	c.judge(err)
	return err
}

func (c *Capture) stream(ctx context.Context, conn *pgconn.PgConn, source *Source, from pglogrepl.LSN) error {
	c.recorded.Store(uint64(from))
	c.oldest.Store(0)
	queue := newQueue()
	group, ctx := errgroup.WithContext(ctx)
	reader := &stream{conn: conn, assembler: newAssembler(source, c.PartSize), queue: queue,
		interval: c.config.Takeover / 3, patience: &c.patience,
		recorded: &c.recorded, serverEnd: &c.serverEnd, lasted: c.tasks.lasted}
	var reconciled atomic.Pointer[string]
	writer := &record{reconciled: &reconciled, recorder: skipping{c.recorder, from}, reconciler: c.books, queue: queue,
		recorded: &c.recorded, lag: lag{oldest: &c.oldest}, advanced: time.Now(), tasks: &c.tasks}
	watcher := &watch{capture: c, source: source, every: c.WatchEvery, found: &reader.unseen, reconciled: &reconciled}
	group.Go(func() error { return writer.run(ctx) })
	group.Go(func() error { return watcher.run(ctx) })
	group.Go(func() error { return reader.receive(ctx) })
	err := group.Wait()
	c.progressed = c.recorded.Load() > uint64(from)
	// The last commit recorded is confirmed while the connection is still open; if it is not, the stream repeats it and
	// the checkpoint drops it.
	_ = reader.tell(false)
	return err
}

// skipping drops the commits that were recorded before this process took over: the slot repeats what was not confirmed.
type skipping struct {
	Recorder
	recorded pglogrepl.LSN
}

// Prepare implements Recorder.
func (s skipping) Prepare(ctx context.Context, commits []Commit) (Recording, error) {
	kept := commits[:0]
	for _, commit := range commits {
		// A transaction's parts carry no end yet. Its commit record starts before its end, so one that starts before the
		// checkpoint has ended by then: a checkpoint is never inside a commit record.
		if commit.CommitLSN >= s.recorded {
			kept = append(kept, commit)
		}
	}
	if len(kept) == 0 {
		return func(context.Context) error { return nil }, nil
	}
	return s.Recorder.Prepare(ctx, kept)
}

// name is a session's application_name, which Postgres cuts off after 63 bytes.
func (c *Capture) name(role string) string { return sessionName(c.deployment, role) }

func sessionName(deployment, role string) string {
	name := "attendee-relay/" + deployment + " " + role
	return name[:min(len(name), 63)]
}

func closeWalsender(conn *pgconn.PgConn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}

// maxBackoff is the longest wait between two tries.
const maxBackoff = 10 * time.Second

// backoff waits longer after each failure, up to maxBackoff, with jitter so that several relays do not come back
// together.
type backoff struct{ wait time.Duration }

func newBackoff() *backoff {
	b := &backoff{}
	b.reset()
	return b
}

func (b *backoff) reset() { b.wait = 100 * time.Millisecond }

func (b *backoff) next() time.Duration {
	wait := b.wait
	b.wait = min(2*b.wait, maxBackoff)
	return wait/2 + rand.N(wait) //nolint:gosec // jitter
}
