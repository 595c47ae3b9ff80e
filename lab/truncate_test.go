package lab

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Steps of the transaction that empties the watched table. It concerns the rows of all workers and of the crowd, and takes a lock
// that keeps everybody out, so what it writes down of the rows is what it takes away. Nothing points to attendees but
// themselves and their answers to the form, of which the load has none.
const (
	// A relay that sleeps while it reads the table would hold everybody up: the application gives up instead.
	notForLong = `set local lock_timeout = '2s'`
	shut       = `lock table attendees in access exclusive mode`
	some       = `select id, event_id, status from attendees
		where surname = $1 and id >= $3::float8 * (select max(id) from attendees where surname = $1) order by id limit $2`
	writeDown = `insert into lab.gone (attendee, event, surname, accepted)
		select id, event_id, surname, false from attendees where id <> all ($1::bigint[])`
	truncate = `truncate attendees cascade`
)

// emptyAt is when the next TRUNCATE is due.
func (w *worker) emptyAt(after time.Duration) time.Time {
	return time.Now().Add(after + time.Duration(w.random.IntN(30_000))*time.Millisecond)
}

// empty takes all rows away. Often some are inserted again under their ids in the same transaction, as a reload does, which is
// a change of their status or none; and often somebody registers in it. Of everybody else the status before is forgotten: who
// comes back later is accepted anew. It is none of the gentle steps.
func (w *worker) empty(ctx context.Context, tx pgx.Tx) error {
	for _, sql := range []string{notForLong, shut} {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return err
		}
	}
	people, err := w.people(ctx, tx, some, w.random.IntN(20), w.random.Float64())
	if err != nil {
		return err
	}
	ids := make([]int64, len(people))
	for i, p := range people {
		ids[i] = p.ID
	}
	if _, err := tx.Exec(ctx, writeDown, ids); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, truncate); err != nil {
		return err
	}
	if err := w.insertAgain(ctx, tx, people, w.random.IntN(2) == 0); err != nil {
		return err
	}
	return w.exec(register, w.name, w.random.IntN(5), w.events[w.random.IntN(len(w.events))])(ctx, tx)
}

// people runs a statement that returns rows of this worker's.
func (w *worker) people(ctx context.Context, tx pgx.Tx, sql string, few int, from float64) ([]person, error) {
	rows, err := tx.Query(ctx, sql, w.name, few, from)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[person])
}
