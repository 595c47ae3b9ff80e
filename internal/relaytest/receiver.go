package relaytest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"attendee-relay/internal/pgtest"
)

// Secret is what the receivers verify with; rows and relays of a test sign with it.
const Secret = "whsec_dGhlIHNlY3JldCBvZiB0aGUgcHJvY2VzcyB0ZXN0cw==" //nolint:gosec // of tests

// Webhook is one request that a Receiver read.
type Webhook struct {
	ID, Path string
	Body     string
	Header   http.Header
	At       time.Time
	// Verified is nil when the signature is right.
	Verified error
}

// Receiver records every request that it gets, before it answers.
type Receiver struct {
	URL    string
	server *httptest.Server
	// answer gives the status; nil: 204. It may block.
	answer func(Webhook) int

	mu       sync.Mutex
	webhooks []Webhook
}

// NewReceiver starts a receiver on this machine; answer gives the status for each request, nil says 204.
func NewReceiver(t *testing.T, answer func(Webhook) int) *Receiver {
	t.Helper()
	verifier, err := standardwebhooks.NewWebhook(Secret)
	if err != nil {
		t.Fatal(err)
	}
	r := &Receiver{answer: answer}
	r.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		at := time.Now()
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return // the sender was killed in the middle of it
		}
		got := Webhook{ID: request.Header.Get(standardwebhooks.HeaderWebhookID), Path: request.URL.Path,
			Body: string(body), Header: request.Header.Clone(), At: at,
			Verified: verifier.Verify(body, request.Header)}
		r.mu.Lock()
		r.webhooks = append(r.webhooks, got)
		r.mu.Unlock()
		status := http.StatusNoContent
		if r.answer != nil {
			status = r.answer(got)
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(r.server.Close)
	r.URL = r.server.URL
	return r
}

// Webhooks returns what was received so far, in order.
func (r *Receiver) Webhooks() []Webhook {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.webhooks[:len(r.webhooks):len(r.webhooks)]
}

// Await waits until that many requests were received.
func (r *Receiver) Await(t *testing.T, n int, within time.Duration) []Webhook {
	t.Helper()
	var got []Webhook
	pgtest.WaitUntil(t, within, "the receiver has its webhooks", func() (bool, string) {
		got = r.Webhooks()
		return len(got) >= n, time.Now().Format(time.StampMilli) + ": " + countOf(len(got), n)
	})
	return got
}
