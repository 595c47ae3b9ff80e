package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
	"attendee-relay/outbox"
)

// endpoints runs one of the commands and checks its exit status, and that it never shows what is hidden of a URL.
func endpoints(t *testing.T, environ []string, exit int, args ...string) result {
	t.Helper()
	got := invoke(t, environ, append([]string{"endpoints"}, args...)...)
	if got.status != exit {
		t.Errorf("%d arguments: exit status %d, want %d: %+v", len(args), got.status, exit, got)
	}
	if strings.Contains(got.stdout+got.stderr, "hidden") {
		t.Errorf("it shows what is hidden: %+v", got)
	}
	return got
}

// listed runs endpoints list --json and returns the only endpoint.
func listed(t *testing.T, environ []string) outbox.Endpoint {
	t.Helper()
	got := endpoints(t, environ, statusDone, "list", "--json")
	var list []outbox.Endpoint
	if err := json.Unmarshal([]byte(got.stdout), &list); err != nil || len(list) != 1 {
		t.Fatalf("%v: %+v", err, got)
	}
	const members = `{"id","url","state","by","since","failures","pending","last_error"}`
	if has := names(t, strings.Trim(got.stdout, "[] \n")); has != members {
		t.Errorf("the members are %s", has)
	}
	return list[0]
}

// An endpoint that is stopped gets all its messages when it is enabled, from a relay that runs, and each once.
func TestEndpointsEnable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		state, name string
		answer      int
	}{
		{"disabled", "by its URL", http.StatusGone},
		{"paused", "by its id", http.StatusInternalServerError},
	} {
		t.Run(c.state+" "+c.name, func(t *testing.T) {
			t.Parallel()
			const messages = 6
			var back atomic.Bool
			receiver := relaytest.NewReceiver(t, func(relaytest.Webhook) int {
				if back.Load() {
					return http.StatusOK
				}
				return c.answer
			})
			db := pgtest.New(t)
			url := receiver.URL + "/hook?token=hidden"
			event := relaytest.AddEvent(t, db, url)
			// No probe within the test: only the command can bring it back.
			relaytest.Run(t, db, "DELIVERY_BREAKER_FAILURES=1", "DELIVERY_BREAKER_PROBE=15m",
				"DELIVERY_RETRY_SCHEDULE=50ms,50ms").AwaitRole(t, ready, "leader")
			relaytest.Accept(t, db, event, 1)
			awaitEndpoint(t, db, c.state)
			relaytest.Accept(t, db, event, messages-1)
			awaitState(t, db, "pending", messages)

			environ := relaytest.Environ(db)
			e := listed(t, environ)
			if string(e.State) != c.state || e.URL != receiver.URL+"/hook" || e.Failures != 1 || e.Pending != messages ||
				e.Since == nil || e.LastError == nil {
				t.Errorf("listed: %+v", e)
			}
			name := map[string]string{"by its URL": url, "by its id": e.ID.String()}[c.name]
			back.Store(true)
			shown := endpoints(t, environ, statusDone, "enable", name).stdout
			for _, want := range []string{e.ID.String(), receiver.URL + "/hook", c.state, *e.LastError, "wait for it: 6.",
				"Nothing was done: add --yes to do it."} {
				if !strings.Contains(shown, want) {
					t.Errorf("without --yes it says nothing of %q: %s", want, shown)
				}
			}
			if now := listed(t, environ); string(now.State) != c.state || now.Pending != messages {
				t.Errorf("without --yes: %+v", now)
			}

			if got := endpoints(t, environ, statusDone, "enable", name, "--yes"); !strings.Contains(got.stdout, "Done") {
				t.Errorf("%+v", got)
			}
			awaitState(t, db, "delivered", messages)
			requests := map[string]int{}
			for _, w := range receiver.Webhooks() {
				requests[w.ID]++
			}
			if n := len(receiver.Webhooks()); n != messages+1 || len(requests) != messages {
				t.Errorf("%d requests for %d messages, want the one that stopped it and one for each", n, len(requests))
			}
			for _, flags := range [][]string{{}, {"--yes"}} {
				got := endpoints(t, environ, statusDone, append([]string{"enable", name}, flags...)...)
				if !strings.Contains(got.stdout, "nothing to enable") {
					t.Errorf("an endpoint that gets its messages: %+v", got)
				}
			}
		})
	}
}

func TestEndpointsListForPeople(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	if got := endpoints(t, relaytest.Environ(db), statusDone, "list", "--json"); got.stdout != "[]\n" {
		t.Errorf("there is no outbox: %+v", got)
	}
	relaytest.Run(t, db, "DELIVERY_ENABLED=false").AwaitRole(t, ready, "leader")
	if got := endpoints(t, relaytest.Environ(db), statusDone, "list"); !strings.HasPrefix(got.stdout, "No messages wait") {
		t.Errorf("the outbox is empty: %+v", got)
	}
	relaytest.Accept(t, db, relaytest.AddEvent(t, db, "https://user:hidden@example.org/hook?token=hidden"), 2)
	awaitState(t, db, "pending", 2)
	e := listed(t, relaytest.Environ(db))
	lines := strings.Split(endpoints(t, relaytest.Environ(db), statusDone, "list").stdout, "\n")
	row := fmt.Sprint([]string{e.ID.String(), "unknown", "-", "0", "2", "https://example.org/hook", "-"})
	if len(lines) != 3 || fmt.Sprint(strings.Fields(lines[1])) != row {
		t.Errorf("the table is %q", lines)
	}
	got := endpoints(t, relaytest.Environ(db), statusFailed, "enable", "https://example.org/?token=hidden", "--yes")
	if !strings.Contains(got.stderr, "endpoints list") {
		t.Errorf("an unknown endpoint: %+v", got)
	}
}

func TestEndpointsUsage(t *testing.T) {
	t.Parallel()
	const url = "https://example.org/?token=hidden"
	for _, args := range [][]string{{}, {url}, {"list", url}, {"enable"}, {"enable", ""}, {"enable", url, url}} {
		endpoints(t, []string{"DATABASE_URL=postgres://relay:hidden@127.0.0.1:1/x"}, statusUsage, args...)
	}
	endpoints(t, nil, statusUsage, "list")
	endpoints(t, []string{"DATABASE_URL=postgres://relay:hidden@127.0.0.1:1/x"}, statusFailed, "enable", url)
}
