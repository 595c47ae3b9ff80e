package main

import (
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

// limitFiles sets how many files a process may have open, as so many more than it has now.
func limitFiles(t *testing.T, pid, more int) {
	t.Helper()
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	limit := unix.Rlimit{Cur: uint64(len(files) + more), Max: 4096}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &limit, nil); err != nil {
		t.Fatal(err)
	}
}

// Without free file descriptors the relay says so, no message dies of it, and with some it goes on.
func TestNoFileDescriptorsIsAFaultOfOurs(t *testing.T) {
	t.Parallel()
	const n = 52
	db := pgtest.New(t)
	receiver := relaytest.NewReceiver(t, func(relaytest.Webhook) int {
		time.Sleep(50 * time.Millisecond) //nolint:forbidigo // a slow receiver
		return http.StatusOK
	})
	relay := relaytest.Run(t, db, "DELIVERY_RETRY_SCHEDULE=1s,1s")
	relay.AwaitRole(t, ready, "leader")
	first := relaytest.AddEvent(t, db, receiver.URL)
	relaytest.Accept(t, db, first, 1)
	awaitState(t, db, "delivered", 1)
	limitFiles(t, relay.PID(), 0)
	for i := range n {
		event := relaytest.AddEvent(t, db, fmt.Sprintf("%s/%d", receiver.URL, i))
		relaytest.Accept(t, db, event, 1)
	}
	failing(t, relay, "delivery_failing", "")
	if dead := pgtest.Value[int64](t, db,
		"select count(*) from attendee_relay.outbox where state = 'dead' or attempts > 1"); dead != 0 {
		t.Errorf("%d messages used up attempts", dead)
	}
	limitFiles(t, relay.PID(), 1000)
	awaitState(t, db, "delivered", n+1)
	relay.Await(t, stopped, "has no fault", func(s relaytest.State) bool { return s.Ready && len(s.Faults) == 0 })
	if more := pgtest.Value[int64](t, db, "select count(*) from attendee_relay.outbox where attempts <> 1"); more != 0 {
		t.Errorf("%d messages took more than one attempt", more)
	}
}
