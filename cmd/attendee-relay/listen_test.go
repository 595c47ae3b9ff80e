package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const listenSecret = "whsec_YSBrZXkgZm9yIHRoZSB0ZXN0cyBvZiBsaXN0ZW4u"

func TestListenPrintsAndVerifies(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args    []string
		environ []string
		secret  string // the sender's; empty: unsigned
		body    string
		status  int
		shows   []string
	}{
		"a good signature": {
			args: []string{"--secret", "old", "--secret", listenSecret}, secret: listenSecret,
			body:   `{"type":"attendee_accepted","attendee":{"name":"Zoë"}}`,
			status: http.StatusNoContent,
			shows: []string{"msg_1  verified  ", " s old  /hook\n",
				"{\n  \"type\": \"attendee_accepted\",\n  \"attendee\": {\n    \"name\": \"Zoë\""},
		},
		"a secret from the environment": {
			environ: []string{"DELIVERY_SIGNING_SECRETS=old, " + listenSecret}, secret: listenSecret,
			body: `{}`, status: http.StatusNoContent, shows: []string{"msg_1  verified  "},
		},
		"a wrong secret": {
			args: []string{"--secret", "another"}, secret: listenSecret,
			body: `{}`, status: http.StatusUnauthorized, shows: []string{"msg_1  BAD SIGNATURE (", "no matching signature"},
		},
		"no signature": {
			args: []string{"--secret", listenSecret},
			body: `{}`, status: http.StatusUnauthorized, shows: []string{"msg_1  unsigned  "},
		},
		"nothing to verify with": {
			secret: listenSecret, body: `{}`, status: http.StatusNoContent, shows: []string{"msg_1  unverified  "},
		},
		"a status to try retries": {
			args: []string{"--secret", listenSecret, "--status", "503"}, secret: listenSecret,
			body: `{}`, status: http.StatusServiceUnavailable, shows: []string{"msg_1  verified  "},
		},
		"control characters in JSON": {
			body: "{\"name\":\"a\u009b31mb\u202ec\u007f\"}", status: http.StatusNoContent,
			shows: []string{`"name": "a\u009b31mb\u202ec\u007f"`},
		},
		"a body that is no JSON": {
			body: "first\x1b[2J\nmsg_2  verified\xff", status: http.StatusNoContent,
			shows: []string{"first\\u001b[2J\\u000amsg_2  verified\uFFFD\n"},
		},
		"one JSON object a line": {
			args: []string{"--json", "--secret", listenSecret}, secret: listenSecret,
			body: "{\"type\":\n \"a<b\u202e\"}", status: http.StatusNoContent,
			shows: []string{`"id":"msg_1","path":"/hook","age_seconds":`, `"signature":"verified","body":{"type":"a<b\u202e"}}`},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ended, addr := startListen(t, t.Context(), test.environ, append(test.args, "--max", "1")...)
			if status := send(t, addr, test.secret, test.body); status != test.status {
				t.Errorf("answered %d, want %d", status, test.status)
			}
			got := <-ended
			if got.status != statusDone {
				t.Errorf("ended with %+v", got)
			}
			for _, part := range test.shows {
				if !strings.Contains(got.stdout, part) {
					t.Errorf("%q lacks %q", got.stdout, part)
				}
			}
			if strings.ContainsAny(got.stdout, "\x1b\u009b\u202e\u007f") {
				t.Errorf("%q could move a terminal", got.stdout)
			}
		})
	}
}

func TestListenPrintsNoMoreThanWasAskedFor(t *testing.T) {
	t.Parallel()
	ended, addr := startListen(t, t.Context(), nil, "--json", "--max", "3")
	for range 3 {
		send(t, addr, "", `{"n":1}`)
	}
	lines := strings.Split(strings.TrimSpace((<-ended).stdout), "\n")
	for _, line := range lines {
		if !json.Valid([]byte(line)) {
			t.Errorf("%q is not JSON", line)
		}
	}
	if len(lines) != 3 {
		t.Errorf("%d lines, want 3", len(lines))
	}
}

func TestListenEndsWhenInterrupted(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	ended, _ := startListen(t, ctx, nil)
	interrupt()
	if got := <-ended; got.status != statusDone || got.stdout != "" {
		t.Errorf("ended with %+v", got)
	}
}

func TestListenFailsWhenItCannotPrint(t *testing.T) {
	t.Parallel()
	stderr := newLines()
	p := &program{stdout: brokenPipe{}, stderr: stderr}
	ended := make(chan int, 1)
	go func() { ended <- p.run(t.Context(), []string{"listen", "--addr", "127.0.0.1:0"}) }()
	send(t, listenAddr(t, stderr), "", `{}`)
	if status := <-ended; status != statusFailed {
		t.Errorf("ended with %d", status)
	}
}

// startListen runs listen on a free port and returns what it leaves behind, once it ends, and its address.
func startListen(t *testing.T, ctx context.Context, environ []string, args ...string) (<-chan result, string) {
	t.Helper()
	var stdout strings.Builder
	stderr := newLines()
	p := &program{environ: environ, stdin: strings.NewReader(""), stdout: &stdout, stderr: stderr}
	ended := make(chan result, 1)
	go func() {
		status := p.run(ctx, append([]string{"listen", "--addr", "127.0.0.1:0"}, args...))
		ended <- result{status: status, stdout: stdout.String()}
	}()
	return ended, listenAddr(t, stderr)
}

// listenAddr waits for the line that says where listen listens.
func listenAddr(t *testing.T, stderr lines) string {
	t.Helper()
	select {
	case line := <-stderr:
		_, rest, _ := strings.Cut(line, "http://")
		addr, _, found := strings.Cut(rest, ",")
		if !found {
			t.Fatalf("listen says %q", line)
		}
		return addr
	case <-time.After(10 * time.Second):
		t.Fatal("listen does not say where it listens")
		return ""
	}
}

// send posts one webhook and returns the answer's status.
func send(t *testing.T, addr, secret, body string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr+"/hook",
		strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	request.Header.Set(standardwebhooks.HeaderWebhookID, "msg_1")
	request.Header.Set(standardwebhooks.HeaderWebhookTimestamp, fmt.Sprint(now.Unix()))
	if secret != "" {
		webhook, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		signature, err := webhook.Sign("msg_1", now, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	return answer.StatusCode
}

// lines is a writer that passes each write on.
type lines chan string

func newLines() lines { return make(lines, 100) }

func (l lines) Write(text []byte) (int, error) {
	l <- string(text)
	return len(text), nil
}

// brokenPipe is a writer whose reader has gone.
type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
