package delivery

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"attendee-relay/internal/tcptest"
)

// speaking returns the address of a server that sends a text to everybody who connects, before it is asked, and closes
// when its client does.
func speaking(t testing.TB, greeting string) string {
	t.Helper()
	return tcptest.Serve(t, func(conn net.Conn) {
		_, _ = io.WriteString(conn, greeting)
		_, _ = io.Copy(io.Discard, conn)
	})
}

func TestTheFirstBytesOfWhatIsNoAnswerAreKept(t *testing.T) {
	t.Parallel()
	plain := httptest.NewServer(status(204))
	t.Cleanup(plain.Close)
	for name, c := range map[string]struct{ url, kept, why string }{
		"an SSH server": {"http://" + speaking(t, "SSH-2.0-OpenSSH_9.6\r\n"), "SSH-2.0-OpenSSH_9.6",
			"protocol: the answer is not HTTP"},
		"a mail server": {"http://" + speaking(t, "220 mail.example ESMTP\r\n"), "220 mail.example ESMTP",
			"protocol: the answer is not HTTP"},
		"bytes that nobody can read": {"http://" + speaking(t, "\x00\x01\xff\x1b[31mred"), "[31mred",
			"protocol: the answer is not HTTP"},
		"a mail server for TLS": {"https://" + speaking(t, "220 mail.example ESMTP\r\n"), "220 mail.example ESMTP",
			"tls: the server does not speak TLS"},
		"more than is kept": {"http://" + speaking(t, strings.Repeat("x", 5000)),
			strings.Repeat("x", maxFirstBytes), "protocol: the answer is not HTTP"},
		"a server of HTTP without TLS": {"https" + strings.TrimPrefix(plain.URL, "http"), "HTTP/1.1 400 Bad Request",
			"tls: the server does not speak TLS"},
	} {
		x := newTestSender(t, func(c *Config) { c.Timeout = 2 * time.Second }).Send(t.Context(), newMessage(c.url))
		if x.Attempt.Error != c.why || !strings.HasPrefix(x.Attempt.Response, c.kept) ||
			len(x.Attempt.Response) > maxFirstBytes {
			t.Errorf("%s: %q, kept %q; want %q and %q", name, x.Attempt.Error, x.Attempt.Response, c.why, c.kept)
		}
		if x.Attempt.Status != 0 || x.fate != retried {
			t.Errorf("%s: %+v", name, x)
		}
	}
}

func TestTheFirstBytesAreThoseOfTheLastAnswer(t *testing.T) {
	t.Parallel()
	for _, broken := range []string{"no HTTP at all\r\n", "HTTP/1.1 abc\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Le"} {
		url, requests := rawReceiver(t, func(conn net.Conn, next func() error) {
			if next() == nil {
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst")
			}
			if next() == nil {
				_, _ = io.WriteString(conn, broken)
			}
		})
		s := newTestSender(t)
		if x := s.Send(t.Context(), newMessage(url)); x.Reason != reasonDelivered || x.Attempt.Response != "first" {
			t.Fatalf("%+v", x)
		}
		x := s.Send(t.Context(), newMessage(url))
		if want := printable([]byte(broken)); x.Attempt.Response != want || requests.Load() != 2 {
			t.Errorf("kept %q of %q after %d requests: %s", x.Attempt.Response, broken, requests.Load(), x.Attempt.Error)
		}
	}
}

func TestTheFirstBytesOverTLSAreKept(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "no HTTP\r\n\r\n")
	}))
	server.StartTLS()
	t.Cleanup(server.Close)
	x := trusting(t, server).Send(t.Context(), newMessage(server.URL))
	if x.Attempt.Response != "no HTTP" || x.Attempt.Error != "protocol: the answer is not HTTP" {
		t.Errorf("%+v", x)
	}
}

func TestANameThatDoesNotExistReadsLikeAPrivateOne(t *testing.T) {
	t.Parallel()
	var seen []Exchange
	for _, url := range []string{"http://127.0.0.1/", "http://localhost/", "http://nowhere.invalid/", "http://[fd00::1]/",
		"http://8.8.8.8/"} {
		s := newTestSender(t, func(c *Config) { c.AllowNetworks, c.DenyNetworks = nil, prefixes("8.8.8.0/24") })
		x := s.Send(t.Context(), newMessage(url))
		x.Attempt.StartedAt = time.Time{}
		seen = append(seen, x)
		if x != seen[0] {
			t.Errorf("%s: %+v, not %+v", url, x, seen[0])
		}
	}
	for _, name := range []string{"DELIVERY_ALLOW_NETWORKS", "no such host", "not public"} {
		if !strings.Contains(seen[0].Attempt.Error, name) {
			t.Errorf("%q does not say %q", seen[0].Attempt.Error, name)
		}
	}
}

func TestARedirectSaysWhereItLed(t *testing.T) {
	t.Parallel()
	for location, want := range map[string]string{
		"":                                   "",
		"https://new.example/hook?token=1":   "; it led to https://new.example/hook",
		"http://new.example":                 "; it led to http://new.example/",
		"/login?next=%2Fhook":                "; it led to /login",
		"login#top":                          "; it led to login",
		"?token=hunter2":                     "",
		"//new.example/a?b":                  "; it led to //new.example/a",
		`\\user:hunter2@new.example\a`:       "; it led to //new.example/a",
		"https://user:hunter2@new.example/a": "; it led to https://new.example/a",
		"https:user:hunter2@new.example/a":   "; it led to https://new.example/a",
		"app://user:hunter2@new.example/a":   "; it led to app:",
		"//user:hunter2@[/a":                 "",
		"https://Łódź.example/a b":           "; it led to https://xn--d-uga0v4h.example/a%20b",
		"/\x1b[31m\u202ered\r\n":             "; it led to /%1B%5B31m%E2%80%AEred",
		"żółw:a":                             "; it led to %C5%BC%C3%B3%C5%82w:a",
		"https://user:hunter2@h.example:x/a": "; it led to https:",
		"/users/@me":                         "; it led to /users/@me",
		"/" + strings.Repeat("x", 1000):      "; it led to /" + strings.Repeat("x", maxLocation-1) + "...",
		"/" + strings.Repeat("€", maxLocation): "; it led to /" + strings.Repeat("%E2%82%AC", maxLocation)[:maxLocation-1] +
			"...",
	} {
		if got := leadsTo(location); got != want {
			t.Errorf("%q: %q, want %q", location, got, want)
		}
	}
	server, _ := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "https://new.example/hook?token=hunter2")
		w.WriteHeader(http.StatusMovedPermanently)
	})
	x := newTestSender(t).Send(t.Context(), newMessage(server.URL))
	if x.Attempt.Error != "redirect: status 301, redirects are not followed; it led to https://new.example/hook" {
		t.Errorf("%+v", x)
	}
}
