package soak

import (
	"context"
	"fmt"
	"hash/maphash"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"attendee-relay/internal/relaytest"
)

// manners are the ways in which receivers behave all the time; each has a server of its own and three events.
var manners = []string{"well", "closing", "slow", "flaky", "late"}

// answered is a message that was answered with a 2xx.
type answered struct {
	path string
	body uint64
	at   []time.Time
}

// receivers are the organisers' side. They verify and record every request.
type receivers struct {
	urls map[string]string
	down atomic.Bool // the flaky ones are out of order as a whole
	hash maphash.Seed

	mu    sync.Mutex
	got   map[string]*answered
	wrong []string
}

func newReceivers(t *testing.T) *receivers {
	t.Helper()
	verifier, err := standardwebhooks.NewWebhook(relaytest.Secret)
	if err != nil {
		t.Fatal(err)
	}
	r := &receivers{urls: map[string]string{}, hash: maphash.MakeSeed(), got: map[string]*answered{}}
	for _, manner := range manners {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			r.receive(verifier, manner, w, q)
		}))
		if manner == "closing" {
			server.Config.ConnState = closeIdle(t)
		}
		server.Start()
		t.Cleanup(server.Close)
		r.urls[manner] = server.URL
	}
	return r
}

// closeIdle closes each connection some milliseconds after an answer, without having announced it, unless the next
// request has arrived.
func closeIdle(t *testing.T) func(net.Conn, http.ConnState) {
	t.Helper()
	var mu sync.Mutex
	requests := map[net.Conn]int{}
	return func(conn net.Conn, state http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		switch state {
		case http.StateActive:
			requests[conn]++
		case http.StateClosed:
			delete(requests, conn)
		case http.StateIdle:
			answered := requests[conn]
			time.AfterFunc(time.Duration(rand.IntN(30))*time.Millisecond, func() {
				mu.Lock()
				defer mu.Unlock()
				if requests[conn] == answered {
					_ = conn.Close()
				}
			})
		}
	}
}

// addEvents makes the events, three of each manner; one of them signs with the relay's own secret.
func (r *receivers) addEvents(t *testing.T, app *pgxpool.Pool) {
	t.Helper()
	for _, manner := range manners {
		for n := range 3 {
			secret := relaytest.Secret
			if n == 0 {
				secret = ""
			}
			_, err := app.Exec(t.Context(), `with made as (insert into events (name, webhook_url, webhook_secret)
				values ($1, $2, nullif($3, '')) returning id)
				insert into form_fields (event_id, type, label, position)
				select id, unnest('{text,check_box}'::text[]), 'Field', 1 from made`,
				manner, fmt.Sprintf("%s/%s/%d", r.urls[manner], manner, n), secret)
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

func (r *receivers) receive(verifier *standardwebhooks.Webhook, manner string, w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		return // the sender died in the middle of it
	}
	if err := verifier.Verify(body, q.Header); err != nil {
		r.accuse("%s: %v", q.Header.Get(standardwebhooks.HeaderWebhookID), err)
	}
	status := r.answer(q.Context(), manner)
	if status == 0 {
		panic(http.ErrAbortHandler) // the connection is cut
	}
	w.WriteHeader(status)
	if http.NewResponseController(w).Flush() == nil && status == http.StatusNoContent {
		r.note(q.Header.Get(standardwebhooks.HeaderWebhookID), q.URL.Path, maphash.Bytes(r.hash, body))
	}
}

// answer returns the status that a receiver of this manner gives, after the time that it takes; 0 cuts the connection.
func (r *receivers) answer(ctx context.Context, manner string) int {
	wait := func(least, most int) {
		select {
		case <-time.After(time.Duration(least+rand.IntN(most-least)) * time.Millisecond):
		case <-ctx.Done():
		}
	}
	switch {
	case manner == "slow":
		wait(50, 500)
	case manner == "late" && rand.IntN(50) == 0:
		wait(1000, 4000)
	case manner == "flaky" && r.down.Load():
		return http.StatusServiceUnavailable
	case manner == "flaky" && rand.IntN(2000) == 0:
		return 0
	case manner == "flaky" && rand.IntN(2000) == 0:
		return http.StatusInternalServerError
	}
	return http.StatusNoContent
}

// note records that a 2xx was sent.
func (r *receivers) note(id, path string, body uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.got[id]
	if a == nil {
		a = &answered{path: path, body: body}
		r.got[id] = a
	}
	if a.body != body {
		r.wrong = append(r.wrong, id+" came with two bodies")
	}
	a.at = append(a.at, time.Now())
}

func (r *receivers) accuse(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wrong = append(r.wrong, fmt.Sprintf(format, args...))
}

func (r *receivers) heal() { r.down.Store(false) }
