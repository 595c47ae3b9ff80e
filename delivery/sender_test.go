package delivery

import (
	"bufio"
	"bytes"
	"compress/gzip"
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
	"unicode/utf8"

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
	server, requests := receiver(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "thank\nyou\x00") })
	s := newTestSender(t, func(c *Config) { c.SigningSecrets = []secret.String{secret.New(vectorSecret)} })
	m := newMessage(server.URL + "/hook?token=a%20b")

	x := s.Send(t.Context(), m)
	if x.Reason != reasonDelivered || x.Attempt.Status != 200 || x.Attempt.Error != "" || x.Attempt.Response != "thank you" {
		t.Fatalf("%+v", x)
	}
	if x.Attempt.StartedAt.IsZero() || x.Attempt.Duration <= 0 {
		t.Errorf("started %v, took %v", x.Attempt.StartedAt, x.Attempt.Duration)
	}
	r := receive(t, requests, "the request")
	if r.method != "POST" || r.uri != "/hook?token=a%20b" || r.body != string(m.Payload) || r.length != int64(len(m.Payload)) {
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

func TestTheTimeoutBoundsTheWholeExchange(t *testing.T) {
	t.Parallel()
	const timeout = 100 * time.Millisecond
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	trickle := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(code)
			for {
				if _, err := io.WriteString(w, "."); err != nil || r.Context().Err() != nil {
					return
				}
				w.(http.Flusher).Flush()
			}
		}
	}
	switching := func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		_, _ = io.Copy(io.Discard, conn)
	}
	continues := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			w.WriteHeader(102)
		}
	}
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    Reason
		status  int
	}{
		"no answer":                 {hang, "timeout", 0},
		"a failure by the byte":     {trickle(500), "server_error", 500},
		"a success by the byte":     {trickle(200), reasonDelivered, 200},
		"another protocol, silent":  {switching, "unexpected", 101},
		"provisional answers, ever": {continues, "protocol", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, _ := receiver(t, c.handler)
			x := newTestSender(t, func(c *Config) { c.Timeout = timeout }).Send(t.Context(), newMessage(server.URL))
			if x.Reason != c.want && x.Reason != "timeout" || x.Attempt.Status != c.status {
				t.Errorf("%+v", x)
			}
			if x.Attempt.Duration > 10*timeout {
				t.Errorf("took %v", x.Attempt.Duration)
			}
		})
	}
}

func TestTheTimeoutNamesHowFarItCame(t *testing.T) {
	t.Parallel()
	// A listener whose queue is never emptied connects and then says nothing.
	silent, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	for url, want := range map[string]string{
		"http://" + silent.Addr().String():  "timeout: no answer in time",
		"https://" + silent.Addr().String(): "timeout: the TLS handshake was not finished in time",
	} {
		s := newTestSender(t, func(c *Config) { c.Timeout = 50 * time.Millisecond })
		if x := s.Send(t.Context(), newMessage(url)); x.Attempt.Error != want {
			t.Errorf("%q, want %q", x.Attempt.Error, want)
		}
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

// rawReceiver speaks for itself on each connection; requests counts those read whole.
func rawReceiver(t testing.TB, talk func(c net.Conn, next func() error)) (url string, requests *atomic.Int64) {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	requests = &atomic.Int64{}
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				reader := bufio.NewReader(c)
				talk(c, func() error {
					r, err := http.ReadRequest(reader)
					if err != nil {
						return err
					}
					if _, err := io.Copy(io.Discard, r.Body); err != nil {
						return err
					}
					requests.Add(1)
					return nil
				})
			}()
		}
	}()
	t.Cleanup(func() { _ = listener.Close() })
	return "http://" + listener.Addr().String(), requests
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

func TestAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ answer, want string }{
		"nothing":                    {"", "reset: the connection was closed before an answer came"},
		"half a header":              {"HTTP/1.1 200 OK\r\nContent-Type: te", "reset: the connection was closed before an answer came"},
		"garbage":                    {"hello\r\n\r\n", "protocol: the answer is not valid HTTP"},
		"another protocol":           {"SSH-2.0-OpenSSH_9.6\r\n", "protocol: the answer is not valid HTTP"},
		"no number":                  {"HTTP/1.1 abc OK\r\n\r\n", "protocol: the answer is not valid HTTP"},
		"a header too large":         {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2*maxHeader) + "\r\n\r\n", "protocol: the header of the answer is too large"},
		"too many headers":           {"HTTP/1.1 200 OK\r\n" + strings.Repeat("X: 12345678\r\n", maxHeader/10) + "\r\n", "protocol: the header of the answer is too large"},
		"a short body after a 2xx":   {"HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\nshort", ""},
		"a broken chunk after a 2xx": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", ""},
		"a short body after a 500":   {"HTTP/1.1 500 Oops\r\nContent-Length: 100\r\n\r\nshort", "server_error: status 500, the receiver failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, requests := rawReceiver(t, func(conn net.Conn, next func() error) {
				if next() == nil {
					_, _ = io.WriteString(conn, c.answer)
				}
			})
			x := newTestSender(t).Send(t.Context(), newMessage(url))
			if x.Attempt.Error != c.want || (c.want == "") != (x.Reason == reasonDelivered) {
				t.Errorf("%+v, want %q", x, c.want)
			}
			if n := requests.Load(); n != 1 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

func TestAnswersAreReadNoFurtherThanTheBound(t *testing.T) {
	t.Parallel()
	chunk := bytes.Repeat([]byte("x"), 64<<10)
	var bomb bytes.Buffer
	squeeze := gzip.NewWriter(&bomb)
	for range 160 {
		_, _ = squeeze.Write(chunk)
	}
	_ = squeeze.Close()

	t.Run("endless", func(t *testing.T) {
		t.Parallel()
		ended := make(chan int64, 1)
		server, _ := receiver(t, func(w http.ResponseWriter, r *http.Request) {
			var sent int64
			for {
				n, err := w.Write(chunk)
				sent += int64(n)
				if err != nil {
					ended <- sent
					return
				}
			}
		})
		x := newTestSender(t).Send(t.Context(), newMessage(server.URL))
		if x.Reason != reasonDelivered || len(x.Attempt.Response) != maxExcerpt {
			t.Errorf("%s, %d bytes kept", x.Reason, len(x.Attempt.Response))
		}
		t.Logf("the receiver wrote %d bytes, most into buffers of the kernel", receive(t, ended, "the receiver to be cut off"))
	})
	t.Run("compressed", func(t *testing.T) {
		t.Parallel()
		server, requests := receiver(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb.Bytes())
		})
		x := newTestSender(t).Send(t.Context(), newMessage(server.URL))
		if x.Reason != reasonDelivered || strings.Contains(x.Attempt.Response, "xxxx") || !utf8.ValidString(x.Attempt.Response) {
			t.Errorf("%+v", x)
		}
		if accept := receive(t, requests, "the request").header.Get("Accept-Encoding"); accept != "" {
			t.Errorf("Accept-Encoding: %q", accept)
		}
	})
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
	for _, base := range []string{"http://" + closed.Addr().String(), "http://hunter2.invalid", "https://hunter2:hunter2@127.0.0.1",
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
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
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
