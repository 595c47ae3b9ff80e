package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

// What is wrong with a row's secret or headers fails its attempts without a request, and is no failure of the endpoint.
func TestWhatCannotBeSentMakesNoRequest(t *testing.T) {
	k := newKnowing(t, "DELIVERY_RETRY_SCHEDULE=100ms,100ms", "DELIVERY_BREAKER_FAILURES=2")
	k.hook(`1 short 1 /b seven77`, `2 host 2 /b - {"Host":"b"}`, `3 line 3 /b - {"A":"b\nc"}`, `4 form 4 /b - {"A":1}`,
		`5 twice 5 /b - {"A":"b","a":"b"}`,
		`6 base64 6 /b whsec_%`)
	k.db.Exec(t, `update webhooks set secret = E' \t ' where delivery_key = 'twice';
		update webhooks set headers = null where delivery_key = 'twice'`)
	for person := 1; person <= 6; person++ {
		k.accept(person)
	}
	k.become("short /b dead", "host /b dead", "line /b dead", "form /b dead", "twice /b dead", "base64 /b dead")
	attempts := pgtest.Values[string](t, k.db,
		"select distinct coalesce(status::text, 'no answer') || ' ' || error from attendee_relay.attempt")
	if len(attempts) != 6 || slices.ContainsFunc(attempts, func(a string) bool {
		return !strings.HasPrefix(a, "no answer refused: the ")
	}) {
		t.Errorf("%q", attempts)
	}
	k.hook("7 fine 7 /b " + newRow)
	k.accept(7)
	k.await("/b", 1)
	if got := k.at("/b"); len(got) != 1 || !signed(got[0], "new") {
		t.Errorf("%+v", got)
	}
}

// A message whose row has lost its secret is not signed with the former one, and not sent unsigned.
func TestAMessageThatHadASecretIsNotSentUnsigned(t *testing.T) {
	for name, c := range map[string]struct {
		settings []string
		sent     bool
	}{
		"without secrets of the relay": {nil, false},
		"with one":                     {[]string{"DELIVERY_SIGNING_SECRETS=" + relaytest.Secret}, true},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKnowing(t, append(c.settings, "DELIVERY_RETRY_SCHEDULE=500ms,500ms,500ms")...)
			k.hook("1 k 1 /a another_secret", "2 l 2 /b")
			k.accept(1)
			k.await("/a", 1)
			k.rehook(1, "1 k 1 /a")
			k.answer("/a", http.StatusNoContent)
			if c.sent {
				k.become("k /a delivered")
				if got := k.at("/a"); !signed(got[len(got)-1], "") {
					t.Errorf("%+v", got)
				}
				return
			}
			k.become("k /a dead")
			why := pgtest.Value[string](t, k.db, "select last_error from attendee_relay.outbox")
			if !strings.Contains(why, "has no signing secret any more") || len(k.at("/a")) != 1 {
				t.Errorf("%s; %d requests", why, len(k.at("/a")))
			}
			k.accept(2) // a message that never had one
			k.await("/b", 1)
		})
	}
}

// A receiver that answers with what it got must not have the secrets kept, printed or logged.
func TestEchoedHeadersAndSecretsAreNotKept(t *testing.T) {
	k := newKnowing(t, "DELIVERY_RETRY_SCHEDULE=100ms")
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "/?"+r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, fmt.Sprintf("headers: %v, key own_secret_text", r.Header))
	}))
	t.Cleanup(echo.Close)
	k.hook(`1 k 1 /a own_secret_text {"Authorization":"Bearer_hunter2hunter2"}`)
	k.db.Exec(t, "update webhooks set url = $1, secret = secret || ' second_secret_text'", echo.URL)
	k.accept(1)
	pgtest.WaitUntil(t, ready, "the message has ended", func() (bool, string) {
		return pgtest.Value[string](t, k.db, "select coalesce(min(state), '') from attendee_relay.outbox") == "dead", ""
	})
	kept := strings.Join(pgtest.Values[string](t, k.db, "select concat(response, error) from attendee_relay.attempt"),
		"\n")
	if !strings.Contains(kept, "[redacted]") {
		t.Errorf("nothing is hidden: %s", kept)
	}
	_, metrics := k.relay.Get(t, "/metrics")
	for _, never := range []string{"hunter2", "own_secret", "second_secret"} {
		if strings.Contains(kept+k.relay.Stderr()+metrics, never) {
			t.Errorf("%s is shown: %s", never, kept)
		}
	}
}
