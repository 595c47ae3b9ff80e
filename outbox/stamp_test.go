package outbox_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"attendee-relay/internal/capturetest"
	"attendee-relay/internal/pgtest"
	"attendee-relay/replication"
)

// originTimes are what another server may have stamped a commit with.
var originTimes = []string{
	"now() + interval '2 hours'", "now() - interval '2 hours'", "'2500-01-01'", "'1700-01-01'", "'infinity'",
	"'-infinity'", "'4000-01-01 BC'",
}

// acceptFromOrigin accepts attendees first to last in one transaction, as an apply worker does. That takes a superuser.
func acceptFromOrigin(t *testing.T, db *pgtest.DB, name, at string, first, last int) {
	t.Helper()
	db.Exec(t, fmt.Sprintf(`select pg_replication_origin_create('%[1]s');
		select pg_replication_origin_session_setup('%[1]s');
		begin; select pg_replication_origin_xact_setup('0/1000', (%[2]s)::timestamptz);
		insert into attendees (id, event_id, name, surname, status) select n, 1, 'Ada', 'Lovelace', 'Accepted'
			from generate_series(%[3]d, %[4]d) n;
		commit; select pg_replication_origin_session_reset();
		select pg_replication_origin_drop('%[1]s')`, name, at, first, last))
}

// A commit with another server's time waits for nothing except OUTBOX_SETTLE, and is dated by this server; so is one
// too large for memory.
func TestCommitStampedElsewhere(t *testing.T) {
	t.Parallel()
	for _, settle := range []time.Duration{0, 400 * time.Millisecond} {
		for _, partSize := range []int{replication.PartSize, 2} {
			t.Run(fmt.Sprintf("settle %v, parts of %d", settle, partSize), func(t *testing.T) {
				t.Parallel()
				db := pgtest.New(t)
				db.Exec(t, "insert into events (id, name, webhook_url) values (1, 'Party', 'https://example.org/hook')")
				rig := capturetest.New(db)
				rig.Outbox.Settle = settle
				rig.Capture = func(c *replication.Capture) { c.PartSize = partSize }
				rig.Start(t)
				rig.AwaitLeading(t)
				var want []string
				for i, at := range originTimes {
					first := 10 * (i + 1)
					acceptFromOrigin(t, db, fmt.Sprintf("%s_%d", db.Name(), i), at, first, first+3)
					for id := first; id <= first+3; id++ {
						want = append(want, fmt.Sprint(id))
					}
				}
				rig.Settled(t)
				if got := rig.Keys(t); !slices.Equal(got, want) {
					t.Errorf("announced %q, want %q", got, want)
				}
				// Postgres 14 does not say in the stream that a commit has an origin (seen with 14.23): there a time that lies in
				// the past is believed. Nothing waits by it.
				const odd = `select format('%s committed %s recorded %s', source_key, committed_at, created_at)
					from attendee_relay.outbox
					where (committed_at between case when $2 then now() - interval '5 minutes' else '-infinity' end
						and created_at) is not true
					   or created_at - committed_at < $1::text::interval`
				says := pgtest.Value[int](t, db, "select current_setting('server_version_num')::int") >= 150000
				if got := pgtest.Values[string](t, db, odd, fmt.Sprint(settle), says); len(got) > 0 {
					t.Errorf("dated by another server, or not settled: %q", got)
				}
			})
		}
	}
}
