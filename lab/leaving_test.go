package lab

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Steps in which rows leave their ids: deleted, some of them to be inserted again later, or renumbered. A new id is
// always one that no row had before. Two rows that exchange theirs are left out: when one's acceptance waits and the
// other's was sent already under the id that the first one gets, no order of the two is right at that id. $4 is the
// status that may be concerned, % any.
const (
	// What was accepted in the same transaction never was.
	remove = `with gone as (delete from attendees where id in (select id from attendees
		where surname = $1 and status like $4 and id >= $3::float8 * (select max(id) from attendees where surname = $1)
		order by id limit $2) returning id, event_id, surname),
		untold as (delete from lab.truth t using gone where t.attendee = gone.id and t.xid = pg_current_xact_id())
		insert into lab.gone (attendee, event, surname, accepted) select id, event_id, surname, false from gone`
	// What was accepted in the same transaction was accepted under the id that the row has at its end.
	renumber = `with chosen as (select id, status, nextval(pg_get_serial_sequence('attendees', 'id')) as fresh
		from attendees
		where surname = $1 and status like $4 and id >= $3::float8 * (select max(id) from attendees where surname = $1)
		order by id limit $2),
		moved as (update attendees a set id = c.fresh from chosen c where a.id = c.id
			returning c.id as was, a.id, a.event_id, a.surname, c.status),
		retold as (update lab.truth t set attendee = moved.id from moved where t.attendee = was
			and t.xid = pg_current_xact_id())
		insert into lab.gone (attendee, event, surname, became, accepted)
		select was, event_id, surname, id, status = 'Accepted' and not exists (
			select from lab.truth t where t.attendee = was and t.xid = pg_current_xact_id()) from moved`
	// The ids that earlier transactions left most recently are given to new rows, unless another row has just taken one.
	comeBack = `with back as (insert into attendees (id, event_id, name, surname, status)
		select attendee, event, 'Again', surname, $3 from lab.gone
		where surname = $1 and xid <> pg_current_xact_id() order by xid desc limit $2
		on conflict (id) do nothing returning id, event_id, status)
		insert into lab.truth (attendee, event) select id, event_id from back where status = 'Accepted'`
)

// The rows that a step may concern. While the slot is lost, only rows that were never accepted leave their ids: an
// accepted one that is deleted then may never have been seen by the relays, one that is renumbered looks to them like a
// new one, and a cancelled one may have left an acceptance that still waits and that nobody can follow.
const (
	anybody       = "%"
	neverAccepted = "Pending"
)

// leaving draws a step in which some rows leave their ids, or come back.
func (w *worker) leaving(few int, event int64, from float64, gentle bool) step {
	whom := anybody
	if gentle {
		whom = neverAccepted
	}
	again := w.exec(comeBack, w.name, few, []string{"Accepted", "Accepted", "Cancelled"}[w.random.IntN(3)])
	if w.again {
		w.again = false
		return again
	}
	elsewhere := w.random.Float64()
	removed, renumbered := w.exec(remove, w.name, few, from, whom), w.exec(renumber, w.name, few, from, whom)
	switch kind := w.random.IntN(12); {
	case kind < 4:
		w.again = w.random.IntN(2) == 0
		return removed
	case kind < 5:
		return again
	case kind < 8:
		return renumbered
	case kind < 9: // under the new id
		return w.all(renumbered, w.exec(accept, w.name, few, from))
	case kind < 10: // before it got the new id
		return w.all(w.exec(accept, w.name, few, from), w.exec(renumber, w.name, few, elsewhere, whom),
			w.exec(renumber, w.name, few, from, whom))
	case kind < 11:
		return w.all(w.exec(register, w.name, few, event), w.exec(renumber, w.name, few, 1.0, whom), again, removed)
	default:
		return w.all(w.exec(accept, w.name, few, from), renumbered, again, removed, takenBack)
	}
}

// person is a row that is inserted again in the transaction that took it away.
type person struct {
	ID, Event int64
	Status    string
}

// insertAgain inserts rows under the ids that they had: accepted or not as before, or with flip the other way round.
func (w *worker) insertAgain(ctx context.Context, tx pgx.Tx, people []person, flip bool) error {
	for _, p := range people {
		status := p.Status
		switch {
		case flip && p.Status == "Accepted":
			status = "Cancelled"
		case flip:
			status = "Accepted"
			if _, err := tx.Exec(ctx, note, p.ID, p.Event); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(ctx, arrive, p.ID, p.Event, w.name, status); err != nil {
			return err
		}
	}
	return nil
}
