package delivery

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"attendee-relay/internal/secret"
)

// received is a request as the receiver saw it.
type received struct {
	method, uri, body string
	length            int64
	header            http.Header
	at                time.Time
}

// receiver records what comes and answers with handler.
func receiver(t testing.TB, handler http.HandlerFunc) (*httptest.Server, <-chan received) {
	t.Helper()
	requests := make(chan received, 1000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- received{r.Method, r.RequestURI, string(body), r.ContentLength, r.Header.Clone(), time.Now()}
		handler(w, r)
	}))
	t.Cleanup(server.Close)
	return server, requests
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func TestSendPostsTheStoredBytesSigned(t *testing.T) {
	t.Parallel()
	server, requests := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "thank\nyou\x00")
	})
	s := newTestSender(t, func(c *Config) { c.SigningSecrets = []secret.String{secret.New(vectorSecret)} })
	m := newMessage(server.URL + "/hook?token=a%20b")

	x := s.Send(t.Context(), m)
	if x.Reason != reasonDelivered || x.Attempt.Status != 200 || x.Attempt.Error != "" ||
		x.Attempt.Response != "thank you" {
		t.Fatalf("%+v", x)
	}
	if x.Attempt.StartedAt.IsZero() || x.Attempt.Duration <= 0 {
		t.Errorf("started %v, took %v", x.Attempt.StartedAt, x.Attempt.Duration)
	}
	r := receive(t, requests, "the request")
	if r.method != "POST" || r.uri != "/hook?token=a%20b" || r.body != string(m.Payload) ||
		r.length != int64(len(m.Payload)) {
		t.Errorf("%+v", r)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json", "User-Agent": "attendee-relay/1.2.3", "webhook-id": m.ID,
		"webhook-timestamp": strconv.FormatInt(x.Attempt.StartedAt.Unix(), 10),
		"Accept-Encoding":   "", "Idempotency-Key": "", "Authorization": "", "Cookie": "",
	} {
		if got := r.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if err := verifier(t, vectorSecret).Verify([]byte(r.body), r.header); err != nil {
		t.Error(err)
	}

	// Without any secret the header is left out; with a bad one of its own nothing is sent at all.
	unsigned := newTestSender(t)
	unsigned.Send(t.Context(), m)
	if values, there := receive(t, requests, "the unsigned request").header["Webhook-Signature"]; there {
		t.Errorf("webhook-signature without a secret: %q", values)
	}
	m.Secret = secret.New("whsec_%")
	if x := s.Send(t.Context(), m); x.Reason != reasonRefused || len(requests) != 0 {
		t.Errorf("with a bad secret: %+v, %d requests", x, len(requests))
	}
}

func TestSendKeepsItsConnection(t *testing.T) {
	t.Parallel()
	var connections atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", maxBody-1))
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	s := newTestSender(t)
	for range 20 {
		s.Send(t.Context(), newMessage(server.URL))
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("20 messages took %d connections", n)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	elsewhere, visits := receiver(t, status(200))
	for _, code := range []int{300, 301, 302, 303, 304, 305, 307, 308} {
		server, requests := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", elsewhere.URL)
			w.WriteHeader(code)
		})
		x := newTestSender(t).Send(t.Context(), newMessage(server.URL))
		if x.Reason != "redirect" || x.Attempt.Status != code || len(requests) != 1 {
			t.Errorf("%d: %+v after %d requests", code, x, len(requests))
		}
	}
	if len(visits) != 0 {
		t.Errorf("%d requests reached where the redirects led", len(visits))
	}
}

func TestAStoppedRelayInterrupts(t *testing.T) {
	t.Parallel()
	server, requests := receiver(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan Exchange, 1)
	s := newTestSender(t)
	go func() { done <- s.Send(ctx, newMessage(server.URL)) }()
	receive(t, requests, "the request")
	cancel(errInterrupted)
	if x := receive(t, done, "the exchange"); x.Reason != reasonInterrupted {
		t.Errorf("%+v", x)
	}
}

func TestOneAttemptIsOneRequest(t *testing.T) {
	t.Parallel()
	// The receiver answers the first request of a connection and closes on the second after reading it, as one does that
	// crashes in the middle of its work. A client that sends again by itself delivers twice.
	url, requests := rawReceiver(t, func(c net.Conn, next func() error) {
		if next() == nil {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			_ = next()
		}
	})
	s := newTestSender(t)
	if x := s.Send(t.Context(), newMessage(url)); x.Reason != reasonDelivered {
		t.Fatalf("%+v", x)
	}
	x := s.Send(t.Context(), newMessage(url))
	if x.Attempt.Error != "reset: the connection was closed before an answer came" {
		t.Errorf("%+v", x)
	}
	if n := requests.Load(); n != 2 {
		t.Errorf("2 attempts made %d requests", n)
	}
}

func TestErrorsShowNeitherURLNorSecret(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	hostile, _ := rawReceiver(t, func(c net.Conn, next func() error) {
		if next() == nil {
			_, _ = io.WriteString(c, "HTTP/1.1 hunter2\r\n\r\n")
		}
	})
	for _, base := range []string{"http://" + closed.Addr().String(), "http://hunter2.invalid",
		"https://hunter2:hunter2@127.0.0.1",
		"ftp://127.0.0.1", "http://10.1.2.3", hostile, "https" + strings.TrimPrefix(hostile, "http"), "http://hunter2 "} {
		s := newTestSender(t, func(c *Config) { c.Timeout = 3 * time.Second })
		m := newMessage(base + "/hunter2?token=hunter2")
		m.Secret = secret.New("hunter2")
		x := s.Send(t.Context(), m)
		if x.Attempt.Status != 0 || x.Attempt.Error == "" {
			t.Errorf("%s: %+v", base, x)
		}
		for _, shown := range []string{"hunter2", "127.0.0.1", "10.1.2.3", "token"} {
			if strings.Contains(x.Attempt.Error, shown) {
				t.Errorf("%s: the error shows %q: %q", base, shown, x.Attempt.Error)
			}
		}
	}
}

func BenchmarkSend(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	b.Cleanup(server.Close)
	s := newTestSender(b, func(c *Config) { c.SigningSecrets = []secret.String{secret.New(vectorSecret)} })
	m := newMessage(server.URL)
	m.Payload = bytes.Repeat([]byte("x"), 800)
	b.ReportAllocs()
	for b.Loop() {
		if x := s.Send(b.Context(), m); x.Reason != reasonDelivered {
			b.Fatal(x)
		}
	}
}
