package delivery

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"attendee-relay/internal/secret"
)

func TestARowsHeadersAreSent(t *testing.T) {
	t.Parallel()
	server, requests := receiver(t, status(http.StatusNoContent))
	m := newMessage(server.URL)
	m.Headers = secret.New(`{"Authorization": "Bearer hunter2hunter2", "x-tenant": "Łódź \"7\"", "X-Empty": "",
		"ACCEPT": "application/json"}`)
	if x := newTestSender(t).Send(t.Context(), m); x.Reason != reasonDelivered {
		t.Fatalf("%+v", x)
	}
	r := receive(t, requests, "the request")
	for name, want := range map[string]string{"Authorization": "Bearer hunter2hunter2", "X-Tenant": `Łódź "7"`,
		"X-Empty": "",
		"Accept":  "application/json", "Content-Type": "application/json", "User-Agent": "attendee-relay/1.2.3",
		"webhook-id": m.ID} {
		if got := r.header.Values(name); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestHeadersThatCannotBeSentMakeNoRequest(t *testing.T) {
	t.Parallel()
	many := func(n int) string {
		object := map[string]string{}
		for i := range n {
			object[fmt.Sprintf("X-%02d", i)] = "v"
		}
		text, _ := json.Marshal(object)
		return string(text)
	}
	sized := func(n int) string { return `{"X-A":"` + strings.Repeat("v", n-len("X-A")) + `"}` }
	cases := map[string]*Refusal{
		`{}`: nil, ` { "X-A" : "b" } `: nil, many(20): nil, sized(8 << 10): nil,
		many(21): errHeadersMany, sized(8<<10 + 1): errHeadersSize,
		`[]`: errHeadersForm, `"x"`: errHeadersForm, `7`: errHeadersForm, `{"X-A":7}`: errHeadersForm,
		`{"X-A":null}`: errHeadersForm,
		`{"X-A":true}`: errHeadersForm, `{"X-A":["b"]}`: errHeadersForm, `{"X-A":{"b":"c"}}`: errHeadersForm,
		`{"X-A":"b"`:    errHeadersForm,
		`{"X-A":"b"} x`: errHeadersForm, `{"X-A":"b"}{"X-B":"c"}`: errHeadersForm,
		`{"X-A":"b","X-A":"b"}`: errHeadersTwice, `{"X-A":"b","x-a":"c"}`: errHeadersTwice,
		`{"":"b"}`: errHeadersName, `{"X A":"b"}`: errHeadersName, `{"X:A":"b"}`: errHeadersName,
		`{"X\r\nA":"b"}`: errHeadersName, `{"Ż":"b"}`: errHeadersName,
		`{" Host":"b"}`: errHeadersName,
	}
	for _, control := range []string{"\n", "\r", "\r\nX-B: c", "\x00", "\t", "\x1b", "\x7f", "\u0085"} {
		text, _ := json.Marshal(map[string]string{"X-A": "a" + control})
		cases[string(text)] = errHeadersValue
	}
	for _, name := range []string{"host", "Host", "user-agent", "Accept-Encoding", "Content-Type", "content-length",
		"CONTENT-X", "webhook-id", "Webhook-Signature",
		"webhook-anything", "Connection", "keep-alive", "Proxy-Connection", "proxy-authorization", "TE", "Trailer",
		"transfer-encoding", "Upgrade", "HTTP2-Settings"} {
		cases[`{"`+name+`":"b"}`] = errHeadersForbidden
	}
	server, requests := receiver(t, status(http.StatusNoContent))
	s := newTestSender(t)
	for text, want := range cases {
		m := newMessage(server.URL)
		m.Headers = secret.New(text)
		x := s.Send(t.Context(), m)
		switch {
		case want == nil && x.Reason != reasonDelivered:
			t.Errorf("%.60s: %+v", text, x)
		case want != nil && (x.Attempt.Error != want.Error() || x.fate != unsent || x.Attempt.StartedAt.IsZero()):
			t.Errorf("%.60s: %+v, want %v", text, x, want)
		case want == nil:
			receive(t, requests, "the request")
		}
	}
	if len(requests) != 0 {
		t.Errorf("%d requests were made", len(requests))
	}
	if _, err := rowHeaders(secret.New("null")); !errors.Is(err, errHeadersForm) {
		t.Error(err) // the outbox keeps no null
	}
}

// The secrets of a receiver that prints its request, as frameworks do on their error pages, must not reach the
// database.
func TestAnEchoedSecretIsMasked(t *testing.T) {
	t.Parallel()
	const own, shared, basic = "whsec_b3duIHNlY3JldCBvZiB0aGUgcm93IQ==", "the_relays_own_secret",
		"Basic dXNlcjpodW50ZXIyaHVudGVyMg=="
	const bearer, quoted = "Bearer aaaa.bbbb/cccc+dddd", `q"u<o>t/e&d\value`
	headers, _ := json.Marshal(map[string]string{"Authorization": bearer, "X-Basic": basic, "X-Quoted": quoted,
		"X-Short": "7"})
	for name, body := range map[string]string{
		"as they came":     "got " + bearer + ", " + basic + ", " + quoted + ", " + own + ", " + shared,
		"the tokens alone": "token aaaa.bbbb/cccc+dddd and dXNlcjpodW50ZXIyaHVudGVyMg==",
		"decoded":          "user:hunter2hunter2 is wrong; so is hunter2hunter2; key own secret of the row!",
		"in JSON": `{"a":"aaaa.bbbb\/cccc+dddd","q":"q\"u<o>t\/e&d\\value",` +
			`"h":"q\"u\u003co\u003et/e\u0026d\\value"}`,
		"in HTML":             `<b>q&#34;u&lt;o&gt;t/e&amp;d\value</b>`,
		"in a query":          "?auth=Bearer+aaaa.bbbb%2Fcccc%2Bdddd",
		"with controls in it": "aaaa.bbbb\x00/cccc+dddd",
		"at the end":          strings.Repeat("x", maxExcerpt-20) + bearer + strings.Repeat("y", 70_000),
		"behind much blank":   strings.Repeat(" ", maxExcerpt-4) + bearer + strings.Repeat("y", 70_000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, _ := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusUnauthorized)
				_, _ = io.WriteString(w, body)
			})
			s := newTestSender(t, func(c *Config) { c.SigningSecrets = []secret.String{secret.New(shared)} })
			m := newMessage(server.URL)
			m.Secret, m.Headers = secret.New(own), secret.New(string(headers))
			x := s.Send(t.Context(), m)
			for _, never := range []string{"aaaa.bbbb", "cccc+dddd", "cccc%2Bdddd", "dXNlcjpo", "hunter2", "value", "b3duIHNl",
				"own secret", shared} {
				if strings.Contains(x.Attempt.Response, never) {
					t.Errorf("%q is shown: %.200s", never, x.Attempt.Response)
				}
			}
			if len(x.Attempt.Response) > maxExcerpt ||
				x.Attempt.Error != "unauthorized: status 401, the receiver may have refused the signature (compare the secrets), "+
					"or asks for credentials" {
				t.Errorf("%d bytes, %s", len(x.Attempt.Response), x.Attempt.Error)
			}
		})
	}
	m := &mask{headers: []header{{"X-Short", "7"}}}
	if got := m.hide("7 of 17, 7.", 0); got != "[redacted] of 17, [redacted]." {
		t.Error(got)
	}
}
