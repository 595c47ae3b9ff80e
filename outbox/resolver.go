package outbox

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/postgres"
	"attendee-relay/replication"
)

const (
	// resolveLimit is how many waiting acceptances one payload query evaluates.
	resolveLimit = 1_000
	// resolveAtLeast is how often a Resolver looks for due acceptances that nobody told it of.
	resolveAtLeast = 30 * time.Second
	// failuresInARow of single keys, without a success before, are shown as a failing query; as many timeouts in a row end
	// the round.
	failuresInARow = 3
)

// Resolver evaluates waiting acceptances until their payload is there: with back-off, at once when their row changes,
// and until OUTBOX_PATIENCE has passed. It works while its Recorder leads.
type Resolver struct {
	recorder *Recorder
	reader   *reader
	leading  func() bool
	wake     chan struct{}
	task     *fault.Task
	log      *zap.Logger
}

// NewResolver makes the Resolver of a Recorder; leading reports whether this process leads.
func NewResolver(r *Recorder, leading func() bool) *Resolver {
	task := r.board.Task(fault.RenderingFailing, "evaluating the waiting acceptances",
		fault.Unless(fault.DatabaseUnreachable, fault.QueryFailing, fault.QueryInvalid), fault.Excusing(r.awaitsStandby))
	return &Resolver{
		task: task, recorder: r, leading: leading, wake: make(chan struct{}, 1), log: r.log.Named("resolver"),
		reader: &reader{turn: make(chan struct{}, 1), url: r.reader.url, name: "attendee-relay/" + r.deployment + " resolver", query: r.reader.query},
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
			wait = time.Second // a look at memory only
			continue
		}
		v.task.Begin()
		next, err := v.resolveDue(ctx)
		wait = resolveAtLeast
		switch {
		case ctx.Err() != nil:
			v.task.Rest()
			return nil
		case errors.Is(err, errFenced):
			v.task.Rest()
		case err != nil:
			v.task.End(err)
			v.log.Warn("evaluating the waiting acceptances failed and is tried again", zap.String("error", fault.Sentence(err)))
			wait = time.Second
		default:
			v.task.End(nil)
			wait = min(next, resolveAtLeast)
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
}

// resolveDue evaluates all that is due and returns how long it is until the next.
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
		}
	}
}

// resolve evaluates a batch with one query; when that fails, key by key, so that a bad one blocks no other.
func (v *Resolver) resolve(ctx context.Context, list []*due) error {
	rows, err := v.query(ctx, list)
	if err == nil {
		v.queryWorks()
		return v.store(ctx, list, rows, "")
	}
	if postgres.Unreachable(err) || ctx.Err() != nil {
		return err
	}
	groups := groupByKey(list)
	if failsForAll(err) || len(groups) == 1 {
		if failsForAll(err) || v.recorder.renderLate.Load() {
			v.recorder.queryFailed(err)
		}
		return v.store(ctx, list, nil, failure(err))
	}
	return v.resolveGroups(ctx, groups)
}

// resolveGroups evaluates key by key, in another order each time, because keys that run into the timeout end the round.
func (v *Resolver) resolveGroups(ctx context.Context, groups [][]*due) error {
	rand.Shuffle(len(groups), func(i, j int) { groups[i], groups[j] = groups[j], groups[i] }) //nolint:gosec // only an order
	worked, timeouts := false, 0
	for i, group := range groups {
		rows, err := v.query(ctx, group)
		if err != nil && (postgres.Unreachable(err) || ctx.Err() != nil) {
			return err
		}
		reason := ""
		switch {
		case err == nil:
			worked, timeouts = true, 0
			v.queryWorks()
		case postgres.Code(err) == "57014":
			timeouts++
			reason = failure(err)
		default:
			timeouts = 0
			reason = failure(err)
		}
		if err != nil && !worked && i+1 == failuresInARow {
			v.recorder.queryFailed(err)
		}
		if timeouts == failuresInARow {
			return v.store(ctx, slices.Concat(groups[i:]...), nil, reason)
		}
		if err := v.store(ctx, group, rows, reason); err != nil {
			return err
		}
	}
	return nil
}

// groupByKey keeps the acceptances of one key together and in order.
func groupByKey(list []*due) [][]*due {
	var groups [][]*due
	place := map[string]int{}
	for _, d := range list {
		if d.key != nil {
			if at, again := place[*d.key]; again {
				groups[at] = append(groups[at], d)
				continue
			}
			place[*d.key] = len(groups)
		}
		groups = append(groups, []*due{d})
	}
	return groups
}

// failsForAll reports whether an error has nothing to do with the keys: the query cannot be prepared, or it names what
// does not exist or may not be read (class 42), or writes (25006).
func failsForAll(err error) bool {
	var f *fault.Fault
	code := postgres.Code(err)
	return errors.As(err, &f) || strings.HasPrefix(code, "42") || code == "25006"
}

// resolveTimeout bounds what the resolver asks besides the payload query. The server ends a statement earlier; this is for one
// that does not answer any more.
const resolveTimeout = time.Minute + postgres.ConnectTimeout

func bounded(ctx context.Context, besides time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, besides+resolveTimeout, errors.New("the database did not answer in time"))
}

func (v *Resolver) connect(ctx context.Context) error {
	v.reader.turn <- struct{}{}
	defer func() { <-v.reader.turn }()
	return v.reader.connect(ctx)
}

func (v *Resolver) query(ctx context.Context, list []*due) (map[string][]payload, error) {
	v.reader.turn <- struct{}{}
	defer func() { <-v.reader.turn }()
	v.task.Allow(v.recorder.config.QueryTimeout)
	ctx, cancel := bounded(ctx, v.recorder.config.QueryTimeout)
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
		var err error
		rows, err = v.reader.payloads(ctx, keysOf(found), v.recorder.config.QueryTimeout, v.recorder.config.DefaultURL)
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
	rows, err := v.reader.conn.Query(ctx, "SELECT "+s.IdentitySQL()+", "+s.KeySQL()+" FROM "+s.Name()+" WHERE "+
		s.IdentitySQL()+" = ANY ($1::text[])", identities)
	if err != nil {
		return err
	}
	keys := map[string]*string{}
	var identity string
	var key *string
	_, err = pgx.ForEachRow(rows, []any{&identity, &key}, func() error {
		keys[identity] = key
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
	v.recorder.board.Clear(fault.QueryFailing, fault.QueryInvalid)
}
