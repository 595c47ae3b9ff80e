package outbox

import (
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/pgtest"
)

// What was evaluated is taken, but for what has changed since, and what comes after something of its key that goes on waiting.
func TestWhatIsTakenOfEvaluatedAcceptances(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, pgtest.Empty())
	conn, err := pgx.Connect(t.Context(), db.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if err := Migrate(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	db.Exec(t, `insert into attendee_relay.acceptance (id, identity, row_identity, source_key, commit_lsn, next_evaluation_at, revision, state)
		overriding system value values (1, '', '', 'as it was', '0/1', now(), 3, 'waiting'), (2, '', '', 'as it was', '0/1', now(), 0, 'waiting'),
		(3, '', '', 'changed', '0/1', now(), 1, 'waiting'), (4, '', '', 'changed', '0/1', now(), 0, 'waiting'),
		(5, '', '', 'not asked for', '0/1', now(), 0, 'waiting'), (6, '', '', 'not asked for', '0/1', now(), 0, 'waiting'),
		(7, '', '', 'empty before', '0/1', now(), 0, 'empty'), (8, '', '', 'empty before', '0/1', now(), 0, 'waiting'),
		(9, '', '', null, '0/1', now(), 0, 'waiting'), (10, '', '', null, '0/1', now(), 0, 'waiting')`)
	var answered []*due
	for _, d := range []due{{id: 1, revision: 3}, {id: 2}, {id: 3}, {id: 4}, {id: 6}, {id: 8}, {id: 10}, {id: 11}} {
		answered = append(answered, &d)
	}
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	taken, err := take(t.Context(), tx, answered)
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
	if want := []int64{1, 2, 8, 10}; !slices.Equal(got, want) {
		t.Errorf("taken are %v, not %v", got, want)
	}
	left := pgtest.Values[int64](t, db, "select id from attendee_relay.acceptance order by id")
	if want := []int64{3, 4, 5, 6, 7, 9}; !slices.Equal(left, want) {
		t.Errorf("left are %v, not %v", left, want)
	}
}
