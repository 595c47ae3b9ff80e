package delivery

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"attendee-relay/internal/tcptest"
)

// rawReceiver speaks for itself on each connection; requests counts those read whole.
func rawReceiver(t testing.TB, talk func(c net.Conn, next func() error)) (url string, requests *atomic.Int64) {
	t.Helper()
	requests = &atomic.Int64{}
	address := tcptest.Serve(t, func(c net.Conn) {
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
	})
	return "http://" + address, requests
}

func TestAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ answer, want string }{
		"nothing": {"", "reset: the connection was closed before an answer came"},
		"half a header": {"HTTP/1.1 200 OK\r\nContent-Type: te",
			"reset: the connection was closed before an answer came"},
		"garbage": {"hello\r\n\r\n",
			"protocol: the answer is not HTTP"},
		"another protocol": {"SSH-2.0-OpenSSH_9.6\r\n",
			"protocol: the answer is not HTTP"},
		"no number": {"HTTP/1.1 abc OK\r\n\r\n",
			"protocol: the answer is not valid HTTP"},
		"a header too large": {"HTTP/1.1 200 OK\r\nX: " +
			strings.Repeat("x", 2*maxHeader) + "\r\n\r\n", "protocol: the header of the answer is too large"},
		"too many headers": {"HTTP/1.1 200 OK\r\n" + strings.Repeat("X: 12345678\r\n", maxHeader/10) + "\r\n",
			"protocol: the header of the answer is too large"},
		"a short body after a 2xx":   {"HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\nshort", ""},
		"a broken chunk after a 2xx": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", ""},
		"a short body after a 500": {"HTTP/1.1 500 Oops\r\nContent-Length: 100\r\n\r\nshort",
			"server_error: status 500, the receiver failed"},
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
		t.Logf("the receiver wrote %d bytes, most into buffers of the kernel",
			receive(t, ended, "the receiver to be cut off"))
	})
	t.Run("compressed", func(t *testing.T) {
		t.Parallel()
		server, requests := receiver(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb.Bytes())
		})
		x := newTestSender(t).Send(t.Context(), newMessage(server.URL))
		if x.Reason != reasonDelivered || strings.Contains(x.Attempt.Response, "xxxx") ||
			!utf8.ValidString(x.Attempt.Response) {
			t.Errorf("%+v", x)
		}
		if accept := receive(t, requests, "the request").header.Get("Accept-Encoding"); accept != "" {
			t.Errorf("Accept-Encoding: %q", accept)
		}
	})
}

func TestTheTimeoutBoundsTheWholeExchange(t *testing.T) {
	t.Parallel()
	const timeout = 2 * time.Second // a busy machine needs a part of it until the header of an answer is there
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
			if x.Attempt.Duration > 5*timeout {
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
		s := newTestSender(t, func(c *Config) { c.Timeout = time.Second })
		if x := s.Send(t.Context(), newMessage(url)); x.Attempt.Error != want {
			t.Errorf("%q, want %q", x.Attempt.Error, want)
		}
	}
}
