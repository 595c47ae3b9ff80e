package outbox

import (
	"cmp"
	"slices"
	"testing"

	"attendee-relay/internal/pgtest"
)

// Evaluated acceptances are taken, except those that have moved since, and those behind one of their key that continues
// to wait.
func TestWhatIsTakenOfEvaluatedAcceptances(t *testing.T) {
	t.Parallel()
	db, conn := migrated(t)
	db.Exec(t, `
		insert into attendee_relay.checkpoint (system_id, database, deployment, source, phase, spool_lsn) values ('', '', '',
			'{}', 'streaming', '0/1');
		insert into attendee_relay.acceptance (id, row_identity, source_key, revision, state, identity, commit_lsn,
			next_evaluation_at)
		overriding system value select *, '', '0/1'::pg_lsn, now() from (values
			(1, 'a', 'edited', 3, 'waiting'), (2, 'b', 'edited', 0, 'waiting'),
			(3, 'moved', 'elsewhere', 1, 'waiting'), (4, 'c', 'left', 0, 'waiting'),
			(5, 'd', 'taken over', 1, 'waiting'), (6, 'e', 'taken over', 0, 'waiting'),
			(7, 'f', 'not evaluated', 0, 'waiting'), (8, 'g', 'not evaluated', 0, 'waiting'),
			(9, 'h', 'came to naught', 0, 'empty'), (10, 'i', 'came to naught', 0, 'waiting'),
			(11, 'j', null, 0, 'waiting'), (12, 'k', null, 0, 'waiting')) as a`)
	answered := func() (list []*due) {
		for id, place := range map[int64]place{1: {row: "a", key: optional("edited")}, 2: {row: "b", key: optional("edited")},
			3: {row: "before", key: optional("left")}, 4: {row: "c", key: optional("left")},
			5: {row: "d", key: optional("before")}, 6: {row: "e", key: optional("taken over")},
			8: {row: "g", key: optional("not evaluated")}, 10: {row: "i", key: optional("came to naught")},
			12: {row: "k", key: optional("read from the table")}, 13: {row: "l", key: optional("taken long since")}} {
			list = append(list, &due{id: id, acceptance: acceptance{place: &place}})
		}
		slices.SortFunc(list, func(a, b *due) int { return cmp.Compare(a.id, b.id) })
		return list
	}
	for _, c := range []struct {
		step        spoolStep
		taken, left []int64
	}{
		{spoolFollow, nil, []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}},
		{spoolAdd, []int64{1, 2, 4, 10, 12}, []int64{3, 5, 6, 7, 8, 9, 11}},
	} {
		db.Exec(t, "update attendee_relay.checkpoint set spool_step = $1", string(c.step))
		tx, err := conn.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		taken, err := take(t.Context(), tx, answered())
		if err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		var got []int64
		for _, d := range taken {
			got = append(got, d.id)
		}
		if !slices.Equal(got, c.taken) {
			t.Errorf("at step %q %v are taken, not %v", c.step, got, c.taken)
		}
		left := pgtest.Values[int64](t, db, "select id from attendee_relay.acceptance order by id")
		if !slices.Equal(left, c.left) {
			t.Errorf("at step %q %v are left, not %v", c.step, left, c.left)
		}
	}
}
