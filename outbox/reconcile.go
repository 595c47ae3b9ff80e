package outbox

import (
	"context"
	_ "embed"
	"errors"
	"fmt"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"attendee-relay/replication"
)

var (
	//go:embed sql/reconcile_look.sql
	reconcileLookSQL string
	//go:embed sql/gap_add.sql
	gapAddSQL string
)

// look is one comparison of ledger and table. If no commit recorded since the look began names a row, the row has not
// changed in the ledger since, and the table showed the result of the recorded commits, or a change that the stream
// does not carry. Therefore the look's differences, less the rows named since, can be recorded like a commit of that
// time.
type look struct {
	number int64
	at     pglogrepl.LSN
	found  []difference
	named  map[string]bool
	// blurred: more was named than is remembered.
	blurred bool
}

// namedLimit bounds what is remembered of the commits since a look.
const namedLimit = 100_000

// difference is a row that ledger and table do not agree on.
type difference struct {
	identity string
	// accepted: it is in the table, with this key; else it is in the ledger.
	accepted bool
	key      *string
}

// Compare implements replication.Reconciler.
func (r *Recorder) Compare(ctx context.Context, conn *pgx.Conn) (number int64, found int, err error) {
	now := r.opened.Load()
	if now == nil {
		return 0, 0, errors.New("comparing the ledger with the watched table: the bookkeeping has not been opened")
	}
	l := r.beginLook()
	var at string
	if err := conn.QueryRow(ctx, "SELECT pg_catalog.pg_current_wal_insert_lsn()::text").Scan(&at); err != nil {
		return 0, 0, fmt.Errorf("reading the end of the WAL: %w", err)
	}
	if l.at, err = pglogrepl.ParseLSN(at); err != nil {
		return 0, 0, err
	}
	// Both are read whole.
	if _, err := conn.Exec(ctx, "SET statement_timeout = '10min'"); err != nil {
		return 0, 0, fmt.Errorf("preparing to compare the ledger with the watched table: %w", err)
	}
	s := now.source
	sql := fmt.Sprintf(reconcileLookSQL, s.From(), s.IdentitySQL(), s.KeySQL(), s.AcceptedSQL("$1"))
	rows, err := conn.Query(ctx, sql, s.Accepted, replication.CompareLimit)
	if err == nil {
		l.found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (d difference, err error) {
			var identity, key []byte
			err = row.Scan(&identity, &d.accepted, &key)
			d.identity, d.key = string(identity), rawText(key)
			return d, err
		})
	}
	if err != nil {
		return 0, 0, fmt.Errorf("comparing the ledger with the watched table: %w", err)
	}
	return l.number, len(l.found), nil
}

func (r *Recorder) beginLook() *look {
	r.lookMu.Lock()
	defer r.lookMu.Unlock()
	r.looks++
	r.look = &look{number: r.looks, named: map[string]bool{}}
	return r.look
}

// name notes, for a look under way, the rows that commits name which have just been recorded.
func (r *Recorder) name(identities []string, all bool) {
	r.lookMu.Lock()
	defer r.lookMu.Unlock()
	l := r.look
	if l == nil || l.blurred {
		return
	}
	if l.blurred = all || len(l.named)+len(identities) > namedLimit; l.blurred {
		l.named = nil
		return
	}
	for _, identity := range identities {
		l.named[identity] = true
	}
}

func (r *Recorder) forgetLook() {
	r.lookMu.Lock()
	defer r.lookMu.Unlock()
	r.look = nil
}

// endLook returns the look of that number, if it is the last one and nothing blurs it.
func (r *Recorder) endLook(number int64) *look {
	r.lookMu.Lock()
	defer r.lookMu.Unlock()
	l := r.look
	if l == nil || l.number != number || l.blurred {
		return nil
	}
	r.look = nil
	return l
}

// Reconcile implements replication.Reconciler. A row of the table that is not in the ledger is an acceptance: it came
// with a partition.
func (r *Recorder) Reconcile(ctx context.Context, number int64) (done bool, err error) {
	l := r.endLook(number)
	if l == nil {
		return false, nil
	}
	var gone []string
	var came ledgerRows
	var waiting []acceptance
	for _, d := range l.found {
		switch {
		case l.named[d.identity]:
		case !d.accepted:
			gone = append(gone, d.identity)
		default:
			came.add(d.identity, entry{accepted: true, key: d.key, lsn: &l.at})
			waiting = append(waiting, acceptance{identity: d.identity, lsn: l.at, place: &place{row: d.identity, key: d.key}})
		}
	}
	done = len(l.found) < replication.CompareLimit
	if len(gone)+len(waiting) == 0 {
		return done, nil
	}
	err = r.writer.write(ctx, 0, func(q *pgx.Batch) {
		q.Queue(ledgerRemoveSQL, gone)
		came.queue(q, ledgerAddSQL)
		queueWaiting(q, waiting, interval(r.config.Settle))
		q.Queue(gapAddSQL, "partitions", len(waiting), len(gone))
	})
	if err != nil {
		return false, err
	}
	// Another look may have begun meanwhile, and seen the differences that this one has just corrected.
	r.name(append(gone, came.identities...), false)
	r.acceptances.Add(float64(len(waiting)))
	r.signal(false, len(waiting) > 0)
	r.log.Warn("ledger and table differed, and the stream did not show it (a partition was truncated, "+
		"attached or detached): corrected",
		zap.Int("added", len(waiting)), zap.Int("removed", len(gone)))
	return done, nil
}
