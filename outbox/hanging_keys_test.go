package outbox_test

import (
	"os"
	"strconv"
	"testing"
	"time"

	"attendee-relay/internal/capturetest"
	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

// Keys for which the payload query hangs, 3 or HANGING_KEYS of them, delay no later acceptance once they are known:
// they are evaluated on a session of their own. SOURCE_QUERY_TIMEOUT is 3 s, or QUERY_TIMEOUT. Every acceptance waits
// for the Resolver, as with OUTBOX_SETTLE or after a large transaction.
func TestFreshKeysBesideHangingKeys(t *testing.T) {
	t.Parallel()
	if testing.Short() || relaytest.Racing() {
		t.Skip("it measures")
	}
	hanging, timeout := relaytest.Sized(t, "HANGING_KEYS", 3), 3*time.Second
	if d, err := time.ParseDuration(os.Getenv("QUERY_TIMEOUT")); err == nil {
		timeout = d
	}
	rig := peopleRig(t, peopleTable)
	rig.Outbox.QueryTimeout, rig.Outbox.Settle = timeout, 10*time.Millisecond
	rig.Outbox.Query = `select id as key, id as attendee_id, 'n' as name, 's' as surname, 'e' as email, 1 as price,
		'EUR' as currency, 1 as event_id,
		'e' as event_name, 'https://example.org/' as webhook_url from people
		where id = any ($1::int[]) and case when id < 1000 then pg_sleep(3600) is not null else true end`
	rig.Start(t)
	rig.AwaitLeading(t)
	rig.DB.Exec(t, "insert into people select i, 'Accepted' from generate_series(1, $1) as i", hanging)
	pgtest.WaitUntil(t, time.Duration(hanging)*4*timeout+capturetest.Patience, "all are known to hang",
		func() (bool, string) {
			n := pgtest.Value[int](t, rig.DB, "select count(*)::int from attendee_relay.acceptance where last_error is not null")
			return n == hanging, strconv.Itoa(n)
		})
	var took []time.Duration
	for i, began := 1000, time.Now(); time.Since(began) < max(15*time.Second, 5*timeout); i++ {
		accepted := time.Now()
		rig.DB.Exec(t, "insert into people values ($1, 'Accepted')", i)
		pgtest.WaitUntil(t, time.Duration(hanging+3)*timeout+capturetest.Patience, "it has its message",
			func() (bool, string) {
				return pgtest.Value[bool](t, rig.DB, "select exists (select from attendee_relay.message where source_key = $1)",
					strconv.Itoa(i)), ""
			})
		took = append(took, time.Since(accepted))
		time.Sleep(100 * time.Millisecond) // the next one comes while the others hang
	}
	most := relaytest.Percentile(took, 1)
	t.Logf("beside %d keys that hang for %v: %d fresh ones waited %v in the median and %v at most", hanging, timeout,
		len(took), relaytest.Percentile(took, .5), most)
	if most > timeout-time.Second {
		t.Errorf("a fresh key waited %v beside keys that are known to hang", most)
	}
}
