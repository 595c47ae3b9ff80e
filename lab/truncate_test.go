package lab

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"attendee-relay/replication"
)

// Steps of the transaction that empties the watched table. It concerns the rows of all workers and of the crowd, and
// takes a lock that keeps everybody out, so the rows that it writes down are the rows that it removes. Nothing refers
// to attendees except themselves and their answers to the form, of which the load has none.
const (
	// A relay that sleeps while it reads the table would hold everybody up: the application gives up instead.
	notForLong = `set local lock_timeout = '2s'`
	shut       = `lock table attendees in access exclusive mode`
	some       = `select id, event_id, status from attendees
		where surname = $1 and id >= $3::float8 * (select max(id) from attendees where surname = $1) order by id limit $2`
	writeDown = `insert into lab.gone (attendee, event, surname, accepted)
		select id, event_id, surname, false from attendees where id <> all ($1::bigint[])`
	// What the transaction accepted before is gone with the rest; of the rows that are inserted again it had accepted
	// none.
	forget   = `delete from lab.truth where xid = pg_current_xact_id()`
	truncate = `truncate attendees cascade`
)

// emptyAt is when the next TRUNCATE is due.
func (w *worker) emptyAt(after time.Duration) time.Time {
	return time.Now().Add(after + time.Duration(w.random.IntN(30_000))*time.Millisecond)
}

// empty draws a transaction that takes all rows away. Often somebody registers in it; and now and then it is too large
// for the relay's memory before that, after it, or both. It is none of the gentle steps.
func (w *worker) empty() step {
	steps := []step{w.exec(notForLong), w.exec(shut)}
	if w.random.IntN(4) == 0 {
		steps = append(steps, w.exec(edit, crowd, 2*replication.PartSize, 0.0), w.exec(accept, crowd, 20, w.random.Float64()))
	}
	steps = append(steps, w.reload(w.random.IntN(20), w.random.Float64()),
		w.exec(register, w.name, w.random.IntN(5), w.events[w.random.IntN(len(w.events))]))
	if w.random.IntN(4) == 0 {
		steps = append(steps, w.exec(apply, crowd, replication.PartSize+500, w.events[0]),
			w.exec(accept, crowd, 20, w.random.Float64()))
	}
	return w.all(steps...)
}

// reload empties the table and inserts some rows again under their ids, which changes their status or nothing. Of all
// others the status before is forgotten: a row that comes back later is accepted again.
func (w *worker) reload(few int, from float64) step {
	flip := w.random.IntN(2) == 0
	return func(ctx context.Context, tx pgx.Tx) error {
		people, err := w.people(ctx, tx, some, few, from)
		if err != nil {
			return err
		}
		ids := make([]int64, len(people))
		for i, p := range people {
			ids[i] = p.ID
		}
		if err := w.all(w.exec(forget), w.exec(writeDown, ids), w.exec(truncate))(ctx, tx); err != nil {
			return err
		}
		return w.insertAgain(ctx, tx, people, flip)
	}
}

// people runs a statement that returns rows of this worker's.
func (w *worker) people(ctx context.Context, tx pgx.Tx, sql string, few int, from float64) ([]person, error) {
	rows, err := tx.Query(ctx, sql, w.name, few, from)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[person])
}
