package outbox_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"attendee-relay/internal/capturetest"
	"attendee-relay/internal/pgtest"
	"attendee-relay/outbox"
)

// sizedTable has people whose rows of the payload query are as large as they say; sizedQuery gives one row for each
// of hooks.
const (
	sizedTable = `create table people (id int primary key, status text, size int not null default 0,
		hooks int not null default 1)`
	sizedQuery = `select p.id as key, p.id as attendee_id, repeat('x', p.size) as name, '' as surname, '' as email,
		1 as price, 'EUR' as currency,
		1 as event_id, 'E' as event_name, n || ' ' || p.id as delivery_key, 'https://example.org/' || n as webhook_url
		from people p cross join generate_series(1, p.hooks) as n where p.id = any ($1::int[])`
)

func sizedRig(t *testing.T) *capturetest.Rig {
	t.Helper()
	rig := peopleRig(t, sizedTable)
	rig.Outbox.Query = sizedQuery
	return rig
}

// A row above 32 MiB is not read, and its acceptance waits; all else of the batch is announced.
func TestAnswersThatAreTooLargeWaitAlone(t *testing.T) {
	t.Parallel()
	rig := sizedRig(t)
	rig.Start(t)
	rig.AwaitLeading(t)
	rig.DB.Exec(t, `insert into people (id, status, size) select i, 'Accepted',
		case i when 3 then 40000000 when 7 then 100000000 else 10 end
		from generate_series(1, 9) as i`)
	awaitMessages(t, rig, "1", "2", "4", "5", "6", "8", "9")
	awaitAcceptance(t, rig, "3", "waiting", "a row of 40000")
	awaitAcceptance(t, rig, "7", "waiting", "a row of 100000")
	rig.DB.Exec(t, `insert into people (id, status, size) values (10, 'Accepted', 10);
		update people set size = 20 where id = 3`)
	awaitMessages(t, rig, "1", "2", "3", "4", "5", "6", "8", "9", "10")
}

// The messages of a batch are more than fit into one statement, and into memory.
func TestBatchesAreBoundedInBytes(t *testing.T) {
	t.Parallel()
	rig := sizedRig(t)
	rig.Start(t)
	rig.AwaitLeading(t)
	rig.DB.Exec(t, `insert into people (id, status, size) select i, 'Accepted',
		case when i % 10 = 0 then 3000000 else 100 end from generate_series(1, 60) as i`)
	var want []string
	for i := range 60 {
		want = append(want, strconv.Itoa(i+1))
	}
	awaitMessages(t, rig, want...)
	if wrong := pgtest.Value[int](t, rig.DB, `select count(*)::int from attendee_relay.outbox
		where length(payload) - case when source_key::int % 10 = 0 then 3000000 else 100 end
		not between 150 and 300`); wrong > 0 {
		t.Errorf("%d bodies have another length than their rows", wrong)
	}
}

// The rows of one key are more than is held in memory, and not of one body; they are announced together, in two
// acceptances as well.
func TestOneKeyWithALargeAnswer(t *testing.T) {
	t.Parallel()
	rig := sizedRig(t)
	rig.Outbox.Query = strings.Replace(sizedQuery, "repeat('x', p.size)", "n || repeat('x', p.size)", 1)
	rig.Start(t)
	rig.AwaitLeading(t)
	rig.DB.Exec(t, `insert into people (id, status, size, hooks)
		values (1, 'Accepted', 2000000, 30), (2, 'Accepted', 10, 2)`)
	awaitMessages(t, rig, append(slices.Repeat([]string{"1"}, 30), "2", "2")...)
	rig.CaughtUp(t)
	const wrong = `select format('%s bodies in %s transactions', count(distinct payload), count(distinct xmin::text))
		from attendee_relay.message where source_key = '1'`
	if got := pgtest.Value[string](t, rig.DB, wrong); got != "30 bodies in 1 transactions" {
		t.Errorf("there are %s", got)
	}
	if left := pgtest.Values[string](t, rig.DB, "select last_error from attendee_relay.acceptance"); len(left) > 0 {
		t.Errorf("acceptances are left: %q", left)
	}
}

// Writing such an answer may take as long as its query may: longer than another transaction of the bookkeeping, and
// than a stage may take without finishing a step. Later recordings wait, which is not a fault.
func TestOneKeyWithALargeAnswerThatTakesLong(t *testing.T) {
	t.Parallel()
	rig := sizedRig(t)
	rig.Limit = 3 * time.Second
	rig.Outbox.Query = strings.Replace(sizedQuery, "repeat('x', p.size)",
		"case when p.id > 1 or pg_sleep(0.3) is not null then n || repeat('x', p.size) end", 1)
	rig.Outbox.QueryTimeout = 30 * time.Second
	rig.Recorder = func(r *outbox.Recorder) { r.SetWriteTimeout(3 * time.Second) }
	rig.Start(t)
	rig.AwaitLeading(t)
	rig.DB.Exec(t, "insert into people (id, status, size, hooks) values (1, 'Accepted', 2000000, 25)")
	pgtest.WaitUntil(t, capturetest.Patience, "the answer is being written", func() (bool, string) {
		return pgtest.Value[bool](t, rig.DB, `select exists (select from pg_locks
			where locktype = 'relation' and mode = 'RowExclusiveLock'
			and relation = 'attendee_relay.acceptance'::regclass)`), ""
	})
	rig.DB.Exec(t, "insert into people (id, status) values (2, 'Accepted')")
	pgtest.WaitUntil(t, time.Minute, "all is announced", func() (bool, string) {
		if faults := rig.Board.List(); len(faults) > 0 {
			t.Fatalf("there is a fault: %+v", faults)
		}
		n := pgtest.Value[int](t, rig.DB, "select count(*)::int from attendee_relay.message")
		return n == 26, strconv.Itoa(n)
	})
}

// Of its messages those without a URL are counted as well.
func TestOneKeyWithALargeAnswerWithoutURLs(t *testing.T) {
	t.Parallel()
	rig := sizedRig(t)
	query := strings.Replace(sizedQuery, "repeat('x', p.size)", "n || repeat('x', p.size)", 1)
	rig.Outbox.Query = strings.Replace(query, "'https://example.org/' || n",
		"case when n % 2 = 0 then 'https://example.org/' || n end", 1)
	registry := prometheus.NewRegistry()
	rig.Recorder = func(r *outbox.Recorder) { r.Report(outbox.NewUnsent(registry, zap.NewNop())) }
	rig.Start(t)
	rig.AwaitLeading(t)
	rig.DB.Exec(t, "insert into people (id, status, size, hooks) values (1, 'Accepted', 2000000, 10)")
	awaitMessages(t, rig, slices.Repeat([]string{"1"}, 10)...)
	pgtest.WaitUntil(t, capturetest.Patience, "five are counted", func() (bool, string) {
		n := 0.0
		families, err := registry.Gather()
		for _, family := range families {
			for _, metric := range family.GetMetric() {
				if metric.GetLabel()[0].GetValue() == "no_url" {
					n = metric.GetCounter().GetValue()
				}
			}
		}
		return err == nil && n == 5, fmt.Sprint(n)
	})
}

// Of such an answer nothing is stored where a later row of it cannot be a message.
func TestOneKeyWithALargeAnswerAndABadRow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ from, to, reason string }{
		"an event that is NULL": {"1 as event_id", "case when n < 25 then 1 end as event_id", "event_id is NULL"},
		"one that is there twice": {"n || ' ' || p.id as delivery_key, 'https://example.org/' || n",
			"'k' || least(n, 20) as delivery_key, 'https://example.org/'", "two rows with the same delivery_key"},
		"one that is too large": {"p.size)", "case when n = 25 then 40000000 else p.size end)", "a row of 40"},
		"one that fails":        {"1 as price", "1 / (25 - n) as price", "division by zero"},
		"one that is not to be stored": {"p.id as attendee_id", `case when n < 25 then 'a'
			else (select string_agg(md5(i::text), '') from generate_series(1, 1000) as i) end as attendee_id`, "does not take"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig := sizedRig(t)
			query := strings.Replace(sizedQuery, "repeat('x', p.size)", "n || repeat('x', p.size)", 1)
			if !strings.Contains(query, c.from) {
				t.Fatalf("the query has no %q", c.from)
			}
			rig.Outbox.Query = strings.Replace(query, c.from, c.to, 1)
			rig.Start(t)
			rig.AwaitLeading(t)
			rig.DB.Exec(t, `insert into people (id, status, size, hooks)
				values (1, 'Accepted', 1000000, 30), (2, 'Accepted', 10, 1)`)
			awaitAcceptance(t, rig, "1", "waiting", c.reason)
			const stored = "select count(*)::int from attendee_relay.message where source_key = '1'"
			if n := pgtest.Value[int](t, rig.DB, stored); n > 0 {
				t.Errorf("%d messages of it are there", n)
			}
		})
	}
}

// A key's messages are stored together, also where that takes several statements; rows with one body share it.
func TestManyWebhooksOfALargeBody(t *testing.T) {
	t.Parallel()
	rig := sizedRig(t)
	rig.Start(t)
	rig.AwaitLeading(t)
	rig.DB.Exec(t, `insert into people (id, status, size, hooks)
		values (1, 'Accepted', 3000000, 8), (2, 'Accepted', 10, 2)`)
	awaitMessages(t, rig, append(slices.Repeat([]string{"1"}, 8), "2", "2")...)
	if n := pgtest.Value[int](t, rig.DB, `select count(distinct xmin::text)::int from attendee_relay.message
		where source_key = '1'`); n != 1 {
		t.Errorf("the messages of one acceptance were written in %d transactions", n)
	}
}

func TestBodyAboveTheMaximumIsDead(t *testing.T) {
	t.Parallel()
	rig := sizedRig(t)
	rig.Outbox.MaxBody = 1000
	rig.Start(t)
	rig.AwaitLeading(t)
	// One alone, as capture renders it, and a batch.
	rig.DB.Exec(t, "insert into people (id, status, size) values (1, 'Accepted', 1000)")
	awaitMessages(t, rig, "1")
	rig.DB.Exec(t, "insert into people (id, status, size) values (2, 'Accepted', 20000000), (3, 'Accepted', 10)")
	awaitMessages(t, rig, "1", "2", "3")
	const overhead = "select length(payload) - 10 from attendee_relay.outbox where source_key = '3'"
	besides := pgtest.Value[int](t, rig.DB, overhead)
	for _, row := range pgtest.Values[[]string](t, rig.DB, `select array[source_key, state, coalesce(payload, 'none'),
		coalesce(last_error, ''),
		coalesce(next_attempt_at::text, 'never'), attempts::text] from attendee_relay.outbox order by source_key`) {
		if row[0] == "3" {
			if row[1] != "pending" || len(row[2]) > 1000 {
				t.Errorf("the small one is %q", row)
			}
			continue
		}
		size := strconv.Itoa(map[string]int{"1": 1000, "2": 20_000_000}[row[0]] + besides)
		if row[1] != "dead" || row[2] != "none" || row[4] != "never" || row[5] != "0" ||
			!strings.HasPrefix(row[3], "body_too_large: the body has "+size+" bytes") {
			t.Errorf("the large one is %q, want a body of %s bytes", row, size)
		}
	}
}

// What the database refuses to store, here an id that is too long for its index, waits alone.
func TestMessageThatCannotBeStored(t *testing.T) {
	t.Parallel()
	rig := sizedRig(t)
	rig.Outbox.Query = strings.Replace(sizedQuery, "p.id as attendee_id", `case p.hooks when 2
		then (select string_agg(md5(i::text), '') from generate_series(1, 1000) as i) else p.id::text end as attendee_id`, 1)
	rig.Start(t)
	rig.AwaitLeading(t)
	rig.DB.Exec(t, `insert into people (id, status, hooks)
		values (1, 'Accepted', 1), (2, 'Accepted', 2), (3, 'Accepted', 1)`)
	awaitMessages(t, rig, "1", "3")
	awaitAcceptance(t, rig, "2", "waiting", "the database does not take what the payload query gives")
	rig.DB.Exec(t, "insert into people (id, status) values (4, 'Accepted'); update people set hooks = 1 where id = 2")
	awaitMessages(t, rig, "1", "2", "3", "4")
}
