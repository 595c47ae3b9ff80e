package main

import (
	"net/http"
	"testing"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

// An organiser who corrects the URL gets what is waiting, also where the old URL is gone for good.
func TestARetryGoesToTheURLOfNow(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]int{"after failures": http.StatusInternalServerError,
		"after a 410": http.StatusGone} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const n = 5
			old := relaytest.NewReceiver(t, func(relaytest.Webhook) int { return status })
			repaired := relaytest.NewReceiver(t, nil)
			db := pgtest.New(t)
			event := pgtest.Value[int64](t, db, "insert into events (name, webhook_url, webhook_secret) values ('Sommerfest', "+
				"$1, 'another_secret') returning id", old.URL)
			relaytest.Run(t, db, "DELIVERY_RETRY_SCHEDULE=300ms,300ms,300ms,300ms,300ms,300ms,300ms,300ms,300ms,300ms,300ms,1h",
				"DELIVERY_BREAKER_FAILURES=3", "DELIVERY_BREAKER_PROBE=300ms").AwaitRole(t, ready, "leader")
			relaytest.Accept(t, db, event, n)
			tried := old.Await(t, 1, ready)
			db.Exec(t, "update events set webhook_url = $2, webhook_secret = $3 where id = $1", event, repaired.URL,
				relaytest.Secret)
			awaitState(t, db, "delivered", n)
			bodies := map[string]string{}
			for _, w := range tried {
				bodies[w.ID] = w.Body
			}
			for _, w := range repaired.Webhooks() {
				if w.Verified != nil {
					t.Errorf("it is not signed with the secret of now: %v", w.Verified)
				}
				if body, there := bodies[w.ID]; there && body != w.Body {
					t.Errorf("its body was %s and is %s", body, w.Body)
				}
				delete(bodies, w.ID)
			}
			if len(bodies) != 0 {
				t.Errorf("%d messages came under another id", len(bodies))
			}
		})
	}
}
