package outbox

import (
	"slices"
	"testing"
)

// Every due acceptance belongs to one Resolver: that of the keys that fail, or the other one. Neither Resolver gets one
// behind an older one of its key that the other has: it could not be taken, and would be evaluated again at once, for
// ever.
func TestDueAcceptancesAreOneResolvers(t *testing.T) {
	t.Parallel()
	db, conn := migrated(t)
	db.Exec(t, `
		insert into attendee_relay.acceptance (id, source_key, last_error, next_evaluation_at, identity, row_identity,
			commit_lsn)
		overriding system value select id, key, error, now() + wait::interval, id, id, '0/1'::pg_lsn from (values
			(1, 'fresh', null, '0'), (2, 'fresh', null, '0'),
			(3, 'fails', 'an error', '0'), (4, 'fails', null, '0'), (5, 'fails', 'an error', '0'),
			(6, 'waits', 'an error', '1 hour'), (7, 'waits', null, '0'),
			(8, 'fresh first', null, '0'), (9, 'fresh first', 'an error', '0'), (10, 'fresh first', null, '0'),
			(14, 'between', 'an error', '0'), (15, 'between', null, '0'), (16, 'between', 'an error', '0'),
			(11, null, null, '0'), (12, null, 'an error', '0'), (13, null, null, '0')) as a (id, key, error, wait)`)
	for _, c := range []struct {
		of   string
		sql  string
		want []int64
	}{
		{"the others", resolveListSQL, []int64{1, 2, 8, 11, 13}},
		{"keys that fail", resolveListFailingSQL, []int64{3, 4, 5, 12, 14, 15, 16}},
	} {
		var got []int64
		rows, err := conn.Query(t.Context(), c.sql, resolveList)
		for err == nil && rows.Next() {
			var id int64
			err = rows.Scan(&id)
			got = append(got, id)
		}
		if err != nil || rows.Err() != nil {
			t.Fatal(err, rows.Err())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("of %s %v are listed, not %v", c.of, got, c.want)
		}
	}
}
