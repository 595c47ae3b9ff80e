package outbox_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"attendee-relay/internal/relaytest"
	"attendee-relay/outbox"
)

// Late messages whose rows have another identity by now are found through indexes, however large the ledger is and
// whatever its statistics say: 50,000 rows, or LEDGER_ROWS.
func TestLateMessagesOfMovedRowsBesideALargeLedger(t *testing.T) {
	t.Parallel()
	if testing.Short() || relaytest.Racing() {
		t.Skip("it measures")
	}
	size := relaytest.Sized(t, "LEDGER_ROWS", 50_000)
	const late = 100
	rig := hooksRig(t)
	rig.DB.Exec(t, "insert into hooks select i, 'k', 'https://example.org/a' from generate_series(1, $1) as i", late)
	rig.DB.Exec(t, "insert into people select i, 'Accepted' from generate_series(1, $1) as i", late)
	rig.Settled(t)
	rig.DB.Exec(t, "update people set id = id + 1000")
	rig.DB.Exec(t, "update hooks set person = person + 1000")
	rig.CaughtUp(t)
	lookup := rig.Resolver().Lookup
	proven(t, rig)
	rig.DB.Exec(t, "alter table attendee_relay.ledger set (autovacuum_enabled = off)")
	rig.DB.Exec(t, "analyze attendee_relay.ledger")
	rig.DB.Exec(t, `insert into attendee_relay.ledger (identity, source_key, commit_lsn)
		select 'x' || i, i, '0/1' from generate_series(1, $1) as i`, size)
	refresh := func(when string) {
		var took time.Duration
		found := looked(t, rig, blocks, []string{"ledger"}, func(pool *pgxpool.Pool) {
			q := outbox.NewQueue(pool, "test", outbox.Breaker{Failures: 10, Probe: time.Minute}, lookup)
			claimed := claim(t, q, late, late, time.Minute, nil)
			for i := range claimed {
				claimed[i].Attempts = 1 // they are late
			}
			began := time.Now()
			left, err := q.Refresh(t.Context(), claimed)
			took = time.Since(began)
			if err != nil || len(left) != late {
				t.Errorf("%s: %d of %d are sent, %v", when, len(left), len(claimed), err)
			}
		})
		rig.DB.Exec(t, "update attendee_relay.pending set lease = null, lease_ends = null")
		t.Logf("%s: asking for %d late messages beside %d rows took %v and %d blocks", when, late, size, took, found)
		if found > 20*late {
			t.Errorf("%s: %d blocks of the ledger for %d messages", when, found, late)
		}
	}
	refresh("statistics of an empty ledger")
	rig.DB.Exec(t, "analyze attendee_relay.ledger")
	refresh("statistics of now")
}
