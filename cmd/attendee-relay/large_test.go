package main

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

const (
	// largeRows is how many rows the large transactions have, unless LARGE_ROWS says so: 1000000 takes minutes. The race
	// detector makes everything slower.
	largeRows, largeRowsRacing = 200_000, 50_000
	// largeMemory is what the relay may have resident, however large a transaction is.
	largeMemory = 128 << 20
	// slowAnswer is how long the endpoint takes whose messages were there before, so that they last.
	slowAnswer = 250 * time.Millisecond
	// longestPause is how long no message of that endpoint may go out; on a machine so busy that all takes long, a quarter
	// of the time that the large transaction took.
	longestPause = 3 * time.Second
)

func rowsOfALargeTransaction(t *testing.T) int {
	t.Helper()
	if relaytest.Racing() {
		return relaytest.Sized(t, "LARGE_ROWS", largeRowsRacing)
	}
	return relaytest.Sized(t, "LARGE_ROWS", largeRows)
}

// One transaction accepts very many rows, another is rolled back: memory stays bounded, what there is to deliver is
// delivered meanwhile, and other registrations are announced behind it. It runs alone, on a server of its own, for it
// takes the machine.
func TestLargeTransactions(t *testing.T) {
	n := rowsOfALargeTransaction(t)
	db := pgtest.On(t, pgtest.Start(t, nil))
	steady := relaytest.NewReceiver(t, func(relaytest.Webhook) int { time.Sleep(slowAnswer); return http.StatusNoContent })
	others := relaytest.NewReceiver(t, nil)
	events := map[string]int64{"steady": relaytest.AddEvent(t, db, steady.URL),
		"others": relaytest.AddEvent(t, db, others.URL)}
	for _, name := range []string{"large", "undone"} { // without a URL, for their requests are not what this is about
		events[name] = pgtest.Value[int64](t, db, "insert into events (name) values ($1) returning id", name)
	}
	relay := relaytest.Run(t, db, "LOG_LEVEL=info")
	relay.AwaitRole(t, ready, "leader")
	acceptMany(t, db, events["steady"], 10_000, "commit") // too many to be delivered by the end
	// A database in use has statistics; without them Postgres reads whole tables for the payload query.
	db.Exec(t, "analyze")
	steady.Await(t, 1, ready)
	registrations := registerOneByOne(t, db, events["others"])

	acceptMany(t, db, events["undone"], n, "rollback")
	acceptMany(t, db, events["large"], n, "commit")
	committed := time.Now()
	end := pgtest.Value[string](t, db, "select pg_current_wal_insert_lsn()::text")
	awaitRecorded(t, db, end)
	recorded := time.Now()
	awaitMessages(t, db)
	announced := time.Now()
	made := registrations.stop(t)
	if got := others.Await(t, made, time.Minute); len(got) != made {
		t.Errorf("%d of the others were accepted, %d webhooks received", made, len(got))
	}

	peak := relay.PeakMemory(t)
	if peak > largeMemory && !relaytest.Racing() {
		t.Errorf("the relay had %d MiB resident", peak>>20)
	}
	pause := longestGap(steady.Webhooks(), committed, announced)
	if pause > max(longestPause, announced.Sub(committed)/4) {
		t.Errorf("no message was delivered for %v", pause)
	}
	checkOutbox(t, db, events, n, made)
	t.Logf("%d rows: recorded %v and announced %v after the commit; %d MiB resident; the longest pause of other "+
		"deliveries %v; %s",
		n, recorded.Sub(committed).Round(time.Millisecond), announced.Sub(committed).Round(time.Millisecond), peak>>20,
		pause.Round(time.Millisecond), waits(t, db, others, committed, recorded))
}

// acceptMany registers n accepted attendees in one transaction.
func acceptMany(t *testing.T, db *pgtest.DB, event int64, n int, end string) {
	t.Helper()
	db.Exec(t, fmt.Sprintf(`begin; insert into attendees (event_id, name, surname, email, status)
		select %d, 'Ada', 'Lovelace', 'ada' || i || '@example.org', 'Accepted' from generate_series(1, %d) as i;
		%s`, event, n, end))
}

func awaitRecorded(t *testing.T, db *pgtest.DB, lsn string) {
	t.Helper()
	pgtest.WaitUntil(t, 10*time.Minute, "the large transaction is recorded", func() (bool, string) {
		time.Sleep(50 * time.Millisecond) // the asking is not for nothing, either
		at := pgtest.Value[[]string](t, db, `select array[(lsn >= $1::text::pg_lsn and spool_step is null)::text, lsn::text,
			coalesce(spool_step, 'none')] from attendee_relay.checkpoint`, lsn)
		return at[0] == "true", fmt.Sprintf("%v, wanted %s", at, lsn)
	})
}

func awaitMessages(t *testing.T, db *pgtest.DB) {
	t.Helper()
	pgtest.WaitUntil(t, 10*time.Minute, "no acceptance waits", func() (bool, string) {
		time.Sleep(50 * time.Millisecond) // asking costs the server as well
		const waiting = "select exists (select from attendee_relay.acceptance where state = 'waiting')"
		return !pgtest.Value[bool](t, db, waiting), "some wait"
	})
}

// longestGap is the longest time between two of the webhooks, or an end of the stretch, within it.
func longestGap(webhooks []relaytest.Webhook, from, to time.Time) time.Duration {
	gap, last := time.Duration(0), from
	for _, w := range webhooks {
		if w.At.After(from) && w.At.Before(to) {
			gap, last = max(gap, w.At.Sub(last)), w.At
		}
	}
	return max(gap, to.Sub(last))
}

// checkOutbox looks for the acceptances that there must be, each once, and for those that must not be.
func checkOutbox(t *testing.T, db *pgtest.DB, events map[string]int64, n, others int) {
	t.Helper()
	for name, want := range map[string]int{"large": n, "undone": 0, "others": others} {
		got := pgtest.Value[[]int](t, db, `select array[count(*), count(distinct source_key)]::int[]
			from attendee_relay.outbox
			where event_id = $1`, strconv.FormatInt(events[name], 10))
		if got[0] != want || got[1] != want {
			t.Errorf("event %s has %d messages of %d attendees, want %d", name, got[0], got[1], want)
		}
	}
}

// waits describes how long other registrations took from commit to receipt: those made before the large transaction's
// commit, those made while it was being recorded, and later ones.
func waits(t *testing.T, db *pgtest.DB, receiver *relaytest.Receiver, committed, recorded time.Time) string {
	t.Helper()
	at := map[string]time.Time{}
	for _, w := range receiver.Webhooks() {
		at[w.ID] = w.At
	}
	var before, during, after []time.Duration
	ids := pgtest.Values[string](t, db,
		"select message_id from attendee_relay.outbox where webhook_url = $1 order by commit_lsn", receiver.URL)
	times := pgtest.Values[time.Time](t, db,
		"select committed_at from attendee_relay.outbox where webhook_url = $1 order by commit_lsn", receiver.URL)
	for i, id := range ids {
		received, ok := at[id]
		if !ok {
			t.Errorf("%s was not received", id)
			continue
		}
		took := received.Sub(times[i])
		switch {
		case times[i].Before(committed):
			before = append(before, took)
		case times[i].Before(recorded):
			during = append(during, took)
		default:
			after = append(after, took)
		}
	}
	text := "commit to receipt of others"
	for i, took := range [][]time.Duration{before, during, after} {
		if len(took) > 0 {
			text += fmt.Sprintf(", %s (%d) median %v, max %v", []string{"before", "while it was recorded", "after"}[i],
				len(took), relaytest.Percentile(took, .5).Round(time.Millisecond),
				relaytest.Percentile(took, 1).Round(time.Millisecond))
		}
	}
	return text
}
