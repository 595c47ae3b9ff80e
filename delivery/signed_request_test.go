package delivery

import (
	"encoding/base64"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"attendee-relay/internal/secret"
)

const (
	// plainSecret is the key as it stands; in another encoding than UTF-8 it would be another key.
	plainSecret = "Schlüssel_für_Ærø"
	// lookalikeSecret is such a text, too, although it could be decoded.
	lookalikeSecret = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
)

var otherSecret = secretPrefix + base64.StdEncoding.EncodeToString([]byte("thirty-two bytes of a secret key"))

// signedRequest is a request of the relay, and what a receiver that was told a secret has to make of it. The official
// libraries and the programs in docs/receivers.md are all held to the same table.
type signedRequest struct {
	name string
	// own is the message's secret, shared are the relay's.
	own    string
	shared []string
	body   string
	age    time.Duration
	// change is what happens to it on its way.
	change func(h http.Header, body string) string
	// secret is the receiver's.
	secret   string
	verified bool
}

var signedRequests = []signedRequest{
	{name: "the shared secret", shared: []string{vectorSecret}, secret: vectorSecret, verified: true},
	{name: "another shared secret", shared: []string{otherSecret}, secret: vectorSecret},
	{name: "rotating, the first secret", shared: []string{otherSecret, vectorSecret}, secret: otherSecret, verified: true},
	{name: "rotating, the second secret", shared: []string{otherSecret, vectorSecret}, secret: vectorSecret,
		verified: true},
	{name: "rotating, a plain text among them", shared: []string{plainSecret, vectorSecret}, secret: vectorSecret,
		verified: true},
	{name: "the event's own secret", own: otherSecret, shared: []string{vectorSecret}, secret: otherSecret,
		verified: true},
	{name: "a shared secret that an own one replaces", own: otherSecret, shared: []string{vectorSecret},
		secret: vectorSecret},
	{name: "a plain text", own: plainSecret, secret: plainSecret, verified: true},
	{name: "a shared plain text", shared: []string{plainSecret}, secret: plainSecret, verified: true},
	{name: "a plain text that looks like base64", own: lookalikeSecret, secret: lookalikeSecret, verified: true},
	{name: "such a text, decoded", own: lookalikeSecret, secret: secretPrefix + lookalikeSecret},
	{name: "no secret", secret: vectorSecret},
	{name: "a body beyond ASCII", shared: []string{vectorSecret}, secret: vectorSecret, verified: true,
		body: `{"attendee":{"name":"Zoë 😀","surname":"Łukaszewska"},"note":"<b>&</b>\u2028"}`},
	{name: "a changed body", shared: []string{vectorSecret}, secret: vectorSecret,
		change: func(_ http.Header, body string) string { return strings.Replace(body, "2", "3", 1) }},
	{name: "a body with a blank more", shared: []string{vectorSecret}, secret: vectorSecret,
		change: func(_ http.Header, body string) string { return body + " " }},
	{name: "another id", shared: []string{vectorSecret}, secret: vectorSecret, change: set("webhook-id", "msg_2")},
	{name: "another timestamp", shared: []string{vectorSecret}, secret: vectorSecret, age: time.Minute,
		change: func(h http.Header, body string) string {
			h.Set("webhook-timestamp", strconv.FormatInt(time.Now().Unix(), 10))
			return body
		}},
	{name: "a timestamp that is no number", shared: []string{vectorSecret}, secret: vectorSecret,
		change: set("webhook-timestamp", "today")},
	{name: "signed four minutes ago", shared: []string{vectorSecret}, secret: vectorSecret, age: 4 * time.Minute,
		verified: true},
	{name: "signed six minutes ago", shared: []string{vectorSecret}, secret: vectorSecret, age: 6 * time.Minute},
	{name: "signed six minutes ahead", shared: []string{vectorSecret}, secret: vectorSecret, age: -6 * time.Minute},
	{name: "a signature of another kind before it", shared: []string{vectorSecret}, secret: vectorSecret, verified: true,
		change: func(h http.Header, body string) string {
			h.Set("webhook-signature", "v1a,"+base64.StdEncoding.EncodeToString(make([]byte, 64))+" "+h.Get("webhook-signature"))
			return body
		}},
	{name: "a signature cut short", shared: []string{vectorSecret}, secret: vectorSecret,
		change: func(h http.Header, body string) string {
			h.Set("webhook-signature", h.Get("webhook-signature")[:20])
			return body
		}},
	{name: "a signature of nothing", shared: []string{vectorSecret}, secret: vectorSecret,
		change: set("webhook-signature", "v1,")},
}

func set(header, value string) func(http.Header, string) string {
	return func(h http.Header, body string) string {
		h.Set(header, value)
		return body
	}
}

// request is what Send would post, changed; body is what that request's body holds.
func (c signedRequest) request(t testing.TB, url string) (req *http.Request, body string) {
	t.Helper()
	m := newMessage(url)
	m.Secret = secret.New(c.own)
	if c.body != "" {
		m.Payload = []byte(c.body)
	}
	sender := newTestSender(t, func(cfg *Config) {
		for _, text := range c.shared {
			cfg.SigningSecrets = append(cfg.SigningSecrets, secret.New(text))
		}
	})
	req, err := sender.request(t.Context(), &m, nil, time.Now().Add(-c.age))
	if err != nil {
		t.Fatal(err)
	}
	body = string(m.Payload)
	if c.change != nil {
		body = c.change(req.Header, body)
	}
	req.Body, req.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	return req, body
}
