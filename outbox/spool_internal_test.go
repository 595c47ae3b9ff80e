package outbox

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/pgtest"
)

// migrated is a database with the relay's schema, and a session in it.
func migrated(t *testing.T) (*pgtest.DB, *pgx.Conn) {
	t.Helper()
	db := pgtest.New(t, pgtest.Empty())
	conn := directConn(t, db)
	if err := Migrate(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	return db, conn
}

// Until the waiting acceptances have followed their rows through a large transaction, none is evaluated, and none that
// was being evaluated is put off or given up: its row may be elsewhere, under another key.
func TestNothingIsEvaluatedBeforeItHasFollowedItsRow(t *testing.T) {
	t.Parallel()
	db, conn := migrated(t)
	db.Exec(t, `insert into attendee_relay.checkpoint (system_id, database, deployment, source, phase)
		values ('', '', '', '{}', 'streaming')`)
	for _, c := range []struct {
		step          spoolStep
		held, failing bool
	}{{spoolRemove, true, false}, {spoolEmptyLedger, true, false}, {spoolSucceed, true, false}, {spoolFollow, true, false},
		{spoolFollow, true, true}, {spoolAdd, false, false}, {spoolAdd, false, true}, {spoolClear, false, false},
		{"", false, false}, {"", false, true}} {
		db.Exec(t, "update attendee_relay.checkpoint set spool_step = nullif($1, ''), spool_lsn = '0/2'", string(c.step))
		list := resolveListSQL
		if c.failing {
			list = resolveListFailingSQL
		}
		id := pgtest.Value[int64](t, db, `insert into attendee_relay.acceptance (identity, row_identity, source_key,
			commit_lsn, next_evaluation_at, last_error)
			values ('1', '1', 'a', '0/1', now(), case when $1 then 'failed' end) returning id`, c.failing)
		seen := map[string]int{
			"listed": len(pgtest.Values[int64](t, db, list, 10)),
			"next": len(pgtest.Values[float64](t, db,
				"select seconds from ("+resolveNextSQL+") as next (seconds) where seconds is not null", c.failing)),
		}
		rows, err := conn.Query(t.Context(), resolveDueSQL, []int64{id}, "1 hour")
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			seen["read"]++
		}
		later, err := conn.Exec(t.Context(), resolveLaterSQL, []int64{id}, []string{"1 hour"}, []*string{nil}, []bool{true},
			[]int32{0})
		if err != nil {
			t.Fatal(err)
		}
		seen["given up"] = int(later.RowsAffected())
		for _, name := range []string{"listed", "next", "read", "given up"} {
			if want := map[bool]int{true: 0, false: 1}[c.held]; seen[name] != want {
				t.Errorf("step %q: %d %s, want %d", c.step, seen[name], name, want)
			}
		}
		db.Exec(t, "delete from attendee_relay.acceptance")
	}
}
