package lab

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"attendee-relay/replication"
)

// errTakenBack rolls a step back that did its work.
var errTakenBack = errors.New("the transaction is rolled back on purpose")

// The changes of a step and their truth are one statement, or at least one transaction. $1 is the worker, $2 how many
// rows, $3 where among the worker's attendees to begin to look.
const (
	register = `with made as (insert into attendees (event_id, name, surname, email, status)
		select $3, 'Ada', $1, 'ada@example.org', 'Accepted' from generate_series(1, $2::int) returning id, event_id)
		insert into lab.truth (attendee, event) select id, event_id from made`
	apply  = `insert into attendees (event_id, name, surname) select $3, 'Grace', $1 from generate_series(1, $2::int)`
	accept = `with changed as (update attendees set status = 'Accepted' where id in (select id from attendees
		where surname = $1 and status <> 'Accepted' and id >= $3::float8 * (select max(id) from attendees where surname = $1)
		order by id limit $2) returning id, event_id)
		insert into lab.truth (attendee, event) select id, event_id from changed`
	cancel = `update attendees set status = 'Cancelled' where id in (select id from attendees
		where surname = $1 and status = 'Accepted' and id >= $3::float8 * (select max(id) from attendees where surname = $1)
		order by id limit $2)`
	edit = `update attendees set email = 'new@example.org', updated_at = now() where id in (select id from attendees
		where surname = $1 and id >= $3::float8 * (select max(id) from attendees where surname = $1) order by id limit $2)`
	leave = `update attendees set status = 'Bouncing' where id in (select id from attendees
		where surname = $1 and status = 'Accepted' and id >= $3::float8 * (select max(id) from attendees where surname = $1)
		order by id limit $2)`
	expel = `update attendees set status = 'Cancelled' where id in (select id from attendees
		where surname = $1 and status = 'Accepted' and id >= $3::float8 * (select max(id) from attendees where surname = $1)
		and id not in (select attendee from lab.truth where xid = pg_current_xact_id()) order by id limit $2)`
	back = `update attendees set status = 'Accepted' where surname = $1 and status = 'Bouncing'`
	// A row deleted and inserted under the same key in one transaction has moved.
	depart = `delete from attendees where id in (select id from attendees
		where surname = $1 and id >= $3::float8 * (select max(id) from attendees where surname = $1) order by id limit $2)
		returning id, event_id, status`
	arrive = `insert into attendees (id, event_id, name, surname, status) values ($1, $2, 'Moved', $3, $4)`
	note   = `insert into lab.truth (attendee, event) values ($1, $2)`
	ids    = `select nextval(pg_get_serial_sequence('attendees', 'id')) from generate_series(1, $1::int)`
)

// crowd is the surname of the many who make a transaction large.
const crowd = "the crowd"

type step func(context.Context, pgx.Tx) error

// choose draws the next step; a gentle one makes nobody leave the accepted.
func (w *worker) choose(gentle bool) step {
	if !w.nextLarge.IsZero() && time.Now().After(w.nextLarge) && !gentle {
		w.nextLarge = time.Now().Add(10*time.Second + time.Duration(w.random.IntN(20_000))*time.Millisecond)
		return w.large
	}
	if !w.nextEmpty.IsZero() && time.Now().After(w.nextEmpty) && !gentle {
		w.nextEmpty = w.emptyAt(30 * time.Second)
		return w.empty()
	}
	event, few, many := w.events[w.random.IntN(len(w.events))], 1+w.random.IntN(3), 2+w.random.IntN(20)
	from := w.random.Float64()
	if w.again {
		return w.leaving(few, event, from, gentle)
	}
	switch kind := w.random.IntN(26); {
	case kind < 3:
		return w.exec(register, w.name, 1, event)
	case kind < 4:
		return w.exec(register, w.name, many, event)
	case kind < 6:
		return w.exec(apply, w.name, many, event)
	case kind < 10:
		return w.exec(accept, w.name, few, from)
	case kind < 12:
		return w.exec(edit, w.name, many, from)
	case kind < 13:
		return w.all(w.exec(leave, w.name, many, from), w.exec(back, w.name)) // accepted before and after
	case kind < 14:
		return w.all(w.exec(register, w.name, few, event), w.exec(accept, w.name, few, from), takenBack)
	case kind < 15:
		return w.savepoints(event, few, from)
	case kind < 16:
		return w.copy(event, many)
	case kind < 22:
		return w.leaving(few, event, from, gentle)
	case gentle:
		return w.exec(apply, w.name, few, event)
	case kind < 23:
		return w.move(few, from)
	default:
		return w.exec(cancel, w.name, few, from)
	}
}

func (w *worker) exec(sql string, args ...any) step {
	return func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, sql, args...)
		return err
	}
}

func (w *worker) all(steps ...step) step {
	return func(ctx context.Context, tx pgx.Tx) error {
		for _, s := range steps {
			if err := s(ctx, tx); err != nil {
				return err
			}
		}
		return nil
	}
}

func takenBack(context.Context, pgx.Tx) error { return errTakenBack }

// savepoints registers some, of whom a part is rolled back, and the same again with another end.
func (w *worker) savepoints(event int64, few int, from float64) step {
	inner := w.all(w.exec(register, w.name, few, event), w.exec(leave, w.name, few, from))
	return func(ctx context.Context, tx pgx.Tx) error {
		err := pgx.BeginFunc(ctx, tx, func(nested pgx.Tx) error { return w.all(inner, takenBack)(ctx, nested) })
		if !errors.Is(err, errTakenBack) {
			return err
		}
		return pgx.BeginFunc(ctx, tx, func(nested pgx.Tx) error {
			return w.all(w.exec(register, w.name, few, event), w.exec(accept, w.name, few, from))(ctx, nested)
		})
	}
}

// copy registers many by COPY, whose rows share one place in the WAL; every second one is accepted.
func (w *worker) copy(event int64, many int) step {
	return func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, ids, many)
		if err != nil {
			return err
		}
		made, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			return err
		}
		var people, truth [][]any
		for i, id := range made {
			status := "Pending"
			if i%2 == 0 {
				status = "Accepted"
				truth = append(truth, []any{id, event})
			}
			people = append(people, []any{id, event, "Copied", w.name, status})
		}
		columns := []string{"id", "event_id", "name", "surname", "status"}
		if _, err := tx.CopyFrom(ctx, pgx.Identifier{"attendees"}, columns, pgx.CopyFromRows(people)); err != nil {
			return err
		}
		_, err = tx.CopyFrom(ctx, pgx.Identifier{"lab", "truth"}, []string{"attendee", "event"}, pgx.CopyFromRows(truth))
		return err
	}
}

// move deletes rows and inserts them again under the same key: accepted or not as before, or the other way round.
func (w *worker) move(few int, from float64) step {
	flip := w.random.IntN(2) == 0
	return func(ctx context.Context, tx pgx.Tx) error {
		gone, err := w.people(ctx, tx, depart, few, from)
		if err != nil {
			return err
		}
		return w.insertAgain(ctx, tx, gone, flip)
	}
}

// large changes more rows than the relay holds in memory: a crowd that comes once and is edited as a whole afterwards,
// while some of it are accepted, leave, are renumbered, deleted and inserted again. One in four is rolled back.
func (w *worker) large(ctx context.Context, tx pgx.Tx) error {
	var there bool
	err := tx.QueryRow(ctx, "select exists (select from attendees where surname = $1)", crowd).Scan(&there)
	if err != nil {
		return err
	}
	if !there {
		return w.all(w.exec(apply, crowd, replication.PartSize+500, w.events[0]),
			w.exec(accept, crowd, 20, w.random.Float64()))(ctx, tx)
	}
	// Those accepted here stay so: a row that leaves again in the same transaction was never accepted.
	steps := []step{w.exec(edit, crowd, 2*replication.PartSize, 0.0), w.exec(accept, crowd, 20, w.random.Float64()),
		w.exec(renumber, crowd, 20, w.random.Float64(), anybody), w.exec(expel, crowd, 20, w.random.Float64()),
		w.exec(comeBack, crowd, 20, "Accepted"), w.exec(leave, crowd, 50, 0.0), w.exec(back, crowd),
		w.exec(remove, crowd, 20, w.random.Float64(), anybody)}
	if w.random.IntN(4) == 0 {
		steps = append(steps, takenBack)
	}
	return w.all(steps...)(ctx, tx)
}
