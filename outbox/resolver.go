package outbox

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/postgres"
	"attendee-relay/replication"
)

//go:embed sql/keys_read.sql
var keysReadSQL string

const (
	// resolveLimit is how many waiting acceptances one payload query evaluates.
	resolveLimit = 1_000
	// resolveAtLeast is how often a Resolver looks for due acceptances that nobody told it of.
	resolveAtLeast = 30 * time.Second
	// nothingWaits is the time until the next acceptance is due if there is none.
	nothingWaits = resolveAtLeast
	// timeoutsInARow of single keys end the round.
	timeoutsInARow = 3
)

// Resolver evaluates waiting acceptances until their payload is there: with back-off, at once when their row changes,
// and until OUTBOX_PATIENCE has passed. It works while its Recorder leads. Those of keys that failed before are
// evaluated apart from the others, on a session of their own: a query that hangs for one holds up no other.
type Resolver struct {
	recorder *Recorder
	reader   *reader
	leading  func() bool
	wake     chan struct{}
	task     *fault.Task
	log      *zap.Logger
	verdict  verdict
	// portion is how many keys are evaluated at once.
	portion portion
	// apart evaluates the keys that failed before; nil in that Resolver itself.
	apart *Resolver
	// stored: the result of an evaluation was stored recently.
	stored bool
}

// NewResolver makes the Resolver of a Recorder; leading reports whether this process leads.
func NewResolver(r *Recorder, leading func() bool) *Resolver {
	v := newResolver(r, leading, "resolver", "evaluating the waiting acceptances")
	v.apart = newResolver(r, leading, "retries", "evaluating the acceptances that failed before", fault.Partly())
	return v
}

func newResolver(r *Recorder, leading func() bool, name, doing string, options ...fault.Option) *Resolver {
	options = append(options, fault.Unless(fault.DatabaseUnreachable, fault.QueryFailing, fault.QueryInvalid),
		fault.Locking(), fault.Excusing(r.awaitsStandby))
	return &Resolver{
		task: r.board.Task(fault.RenderingFailing, doing, options...), recorder: r, leading: leading,
		wake: make(chan struct{}, 1), log: r.log.Named("resolver"), portion: newPortion(resolveLimit),
		reader: &reader{turn: make(chan struct{}, 1), url: r.reader.url, name: "attendee-relay/" + r.deployment + " " + name,
			query: r.reader.query},
	}
}

// Nudge tells the Resolver that there may be something to evaluate. It does not block.
func (v *Resolver) Nudge() {
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// Run evaluates until the context ends.
func (v *Resolver) Run(ctx context.Context) error {
	var apart sync.WaitGroup
	apart.Go(func() { v.apart.runApart(ctx, v.Nudge) })
	defer apart.Wait()
	wait := time.Duration(0)
	for {
		select {
		case <-v.wake:
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
		if !v.leading() {
			v.task.Rest()
			v.forget()
			wait = time.Second // a look at memory only
			continue
		}
		v.task.Begin()
		next, err := v.resolveDue(ctx)
		if err == nil {
			err = v.judge(ctx)
		}
		if v.verdict.shown != nil {
			v.apart.Nudge()
		}
		wait = resolveAtLeast
		switch {
		case ctx.Err() != nil:
			v.task.Rest()
			return nil
		case errors.Is(err, errFenced):
			v.task.Rest()
		case err != nil:
			v.task.End(err)
			v.log.Warn("evaluating the waiting acceptances failed and will be retried", zap.String("error", fault.Sentence(err)))
			wait = time.Second
		default:
			v.task.End(nil)
			wait = min(next, v.nextJudgement())
		}
	}
}

// awaitsStandby reports whether what is written waits for a synchronous standby.
func (r *Recorder) awaitsStandby(ctx context.Context) bool {
	waits, err := replication.ReadWaits(ctx, r.writer.url, r.deployment)
	return err == nil && waits.Standby
}

// Close closes the Resolver's connection.
func (v *Resolver) Close(ctx context.Context) {
	v.reader.turn <- struct{}{}
	defer func() { <-v.reader.turn }()
	v.reader.close(ctx)
	v.apart.reader.close(ctx)
}

// resolveDue evaluates everything that is due and returns the time until the next is due. It stops when it is time to
// judge the query: under a load there is always something due.
func (v *Resolver) resolveDue(ctx context.Context) (time.Duration, error) {
	if err := v.connect(ctx); err != nil {
		return 0, err
	}
	for {
		ids, err := v.listDue(ctx)
		if err != nil {
			return 0, err
		}
		if len(ids) == 0 {
			return v.untilNext(ctx)
		}
		for some := range slices.Chunk(ids, resolveLimit) {
			list, err := v.readDue(ctx, some)
			if err != nil {
				return 0, err
			}
			if len(list) == 0 {
				continue
			}
			if err := v.resolve(ctx, list); err != nil {
				return 0, err
			}
			if v.judgesNow() {
				return 0, nil
			}
		}
	}
}

// resolve evaluates a batch, in portions that fit into memory. A portion that fails is halved, down to single keys,
// where the bad one waits with its error and blocks no other.
func (v *Resolver) resolve(ctx context.Context, list []*due) error {
	r := newRound(list, v.recorder.config.QueryTimeout)
	for r.more() {
		some, began := r.next(v.portion.keys), time.Now()
		failed, err := v.evaluate(ctx, some, r.limit)
		if errors.Is(failed, errAnswer) && r.taken == 1 {
			failed, err = v.evaluateSpilling(ctx, some)
		}
		if err != nil {
			return err
		}
		if failed == nil {
			r.succeeded(time.Since(began))
			continue
		}
		if failsForAll(failed) {
			v.recorder.queryBroke(failed)
			return v.store(ctx, r.rest(), nil, failure(failed))
		}
		if r.failed(failed) {
			continue // with fewer, or others
		}
		if r.timeouts == timeoutsInARow {
			some = r.rest()
		}
		if err := v.store(ctx, some, nil, failure(failed)); err != nil {
			return err
		}
		r.done()
	}
	return nil
}

// evaluate runs the payload query for a portion, for at most timeout, and stores the result. failed: the query, or its
// result, is at fault.
func (v *Resolver) evaluate(ctx context.Context, list []*due, timeout time.Duration) (failed, err error) {
	rows, err := v.query(ctx, list, timeout)
	if err != nil && (postgres.Unreachable(err) || ctx.Err() != nil) {
		return nil, err
	}
	if err != nil {
		v.task.Step() // it came to an end, and others follow
		return err, nil
	}
	v.queryWorks()
	if err = v.store(ctx, list, rows, ""); unstorable(err) {
		return &refusal{err}, nil
	}
	return nil, err
}

// failsForAll reports whether an error has nothing to do with the keys: the query cannot be prepared, or it names what
// does not exist or may not be read (class 42), or writes (25006).
func failsForAll(err error) bool {
	var f *fault.Fault
	code := postgres.Code(err)
	return errors.As(err, &f) || strings.HasPrefix(code, "42") || code == "25006"
}

// resolveTimeout bounds the resolver's statements other than the payload query. The server ends a statement earlier;
// this is for a server that does not answer any more.
const resolveTimeout = time.Minute + postgres.ConnectTimeout

func bounded(ctx context.Context, besides time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, besides+resolveTimeout, errors.New("the database did not answer in time"))
}

func (v *Resolver) connect(ctx context.Context) error {
	v.reader.turn <- struct{}{}
	defer func() { <-v.reader.turn }()
	return v.reader.connect(ctx)
}

func (v *Resolver) query(ctx context.Context, list []*due, timeout time.Duration) (map[string][]payload, error) {
	v.reader.turn <- struct{}{}
	defer func() { <-v.reader.turn }()
	v.task.Allow(timeout)
	ctx, cancel := bounded(ctx, timeout)
	defer cancel()
	var rows map[string][]payload
	err := v.reader.in(ctx, nil, func(snapshot) error {
		if err := v.readKeys(ctx, list); err != nil {
			return err
		}
		found := make([]acceptance, len(list))
		for i, d := range list {
			found[i] = d.acceptance
		}
		keys := keysOf(found)
		config := v.recorder.config
		var held int
		var err error
		rows, held, err = v.reader.ownPayloads(ctx, keys, timeout, config.DefaultURL, int(config.MaxBody))
		if err == nil {
			v.portion.learn(len(keys), held)
		} else if isTooLarge(err) {
			v.portion.halve(len(keys))
		}
		return err
	})
	return rows, err
}

// readKeys asks the watched table for the keys that the stream left out: a value stored apart from its row (TOAST) that
// the statement did not touch. No index serves this; it is rare.
func (v *Resolver) readKeys(ctx context.Context, list []*due) error {
	var identities []string
	for _, d := range list {
		if d.key == nil {
			identities = append(identities, d.row)
		}
	}
	if len(identities) == 0 {
		return nil
	}
	s := v.recorder.opened.Load().source
	if converts(v.reader.conn) { // the table's name is UTF-8
		if _, err := v.reader.conn.Exec(ctx, utf8SQL); err != nil {
			return err
		}
	}
	rows, err := v.reader.conn.Query(ctx, fmt.Sprintf(keysReadSQL, s.From(), s.IdentitySQL(), s.KeySQL()),
		rawBytes(identities))
	if err != nil {
		return err
	}
	keys := map[string]*string{}
	var identity, key []byte
	_, err = pgx.ForEachRow(rows, []any{&identity, &key}, func() error {
		keys[string(identity)] = rawText(key)
		return nil
	})
	for _, d := range list {
		if d.key == nil {
			d.key = keys[d.row]
		}
	}
	return err
}

func (v *Resolver) queryWorks() {
	v.recorder.renderLate.Store(false)
	v.recorder.queryWorked()
}
