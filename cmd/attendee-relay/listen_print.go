package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf16"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"attendee-relay/demo"
)

// webhookPrinter is listen's handler: it has the demo's receiver print each webhook and answers as the flags ask.
type webhookPrinter struct {
	out     io.Writer
	secrets []string
	// status replaces the receiver's own answer; 0: it stays.
	status int
	// most webhooks are printed, then end is called; 0: no limit.
	most int
	json bool
	end  context.CancelCauseFunc

	mu      sync.Mutex // one webhook is printed at a time
	printed int
}

// ServeHTTP implements http.Handler.
func (p *webhookPrinter) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	if p.status != 0 {
		w = &fixedStatus{ResponseWriter: w, status: p.status}
	}
	// A receiver for each request, because what it hands on has not the headers.
	demo.NewReceiver(p.secrets, func(received demo.Received) { p.print(received, request.Header) }).ServeHTTP(w, request)
}

// print shows one webhook. Webhooks after the last one that was asked for are answered, because their sender waits, but
// not shown.
func (p *webhookPrinter) print(received demo.Received, header http.Header) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.most > 0 && p.printed == p.most {
		return
	}
	p.printed++
	shown := newShownWebhook(received, header)
	text := shown.text()
	if p.json {
		text = shown.line()
	}
	if _, err := io.WriteString(p.out, text); err != nil {
		p.end(fmt.Errorf("printing a webhook: %w", err))
		return
	}
	if p.printed == p.most {
		p.end(errEnough)
	}
}

// fixedStatus answers with its own status whatever the handler says.
type fixedStatus struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (f *fixedStatus) WriteHeader(int) { f.ResponseWriter.WriteHeader(f.status) }

// shownWebhook is what is printed of a webhook. Everything in it is harmless to a terminal.
type shownWebhook struct {
	ReceivedAt time.Time `json:"received_at"`
	ID         string    `json:"id"`
	Path       string    `json:"path"`
	// AgeSeconds is how long ago webhook-timestamp says that the attempt was made.
	AgeSeconds *float64 `json:"age_seconds"`
	// Signature is verified, unverified (there is no secret to verify it with), unsigned or bad.
	Signature string          `json:"signature"`
	Reason    string          `json:"reason,omitempty"`
	Body      json.RawMessage `json:"body,omitempty"`
	// BodyText is a body that is not JSON.
	BodyText string `json:"body_text,omitempty"`
}

func newShownWebhook(received demo.Received, header http.Header) shownWebhook {
	shown := shownWebhook{
		ReceivedAt: received.At,
		ID:         harmless(received.ID),
		Path:       harmless(received.Path),
	}
	if seconds, err := strconv.ParseInt(header.Get(standardwebhooks.HeaderWebhookTimestamp), 10, 64); err == nil {
		age := received.At.Sub(time.Unix(seconds, 0)).Round(time.Millisecond).Seconds()
		shown.AgeSeconds = &age
	}
	switch {
	case received.Verified:
		shown.Signature = "verified"
	case header.Get(standardwebhooks.HeaderWebhookSignature) == "":
		shown.Signature = "unsigned"
	case received.VerifyError == demo.ErrNoSecret: //nolint:errorlint // the sentinel itself
		shown.Signature = "unverified"
	default:
		shown.Signature, shown.Reason = "bad", harmless(received.VerifyError.Error())
	}
	if json.Valid(received.Body) {
		shown.Body = json.RawMessage(harmless(string(compact(received.Body))))
	} else {
		shown.BodyText = harmless(string(received.Body))
	}
	return shown
}

// compact takes the white space out of valid JSON, so that no line end is left that harmless would escape.
func compact(body []byte) []byte {
	var out bytes.Buffer
	_ = json.Compact(&out, body) // fails for invalid JSON only
	return out.Bytes()
}

// text is for people: a line about the webhook, then its body.
func (s shownWebhook) text() string {
	age := "no timestamp"
	if s.AgeSeconds != nil {
		age = fmt.Sprintf("%.1f s old", *s.AgeSeconds)
	}
	signature := s.Signature
	if s.Reason != "" {
		signature = "BAD SIGNATURE (" + s.Reason + ")"
	}
	body := s.BodyText
	var pretty bytes.Buffer
	if s.Body != nil && json.Indent(&pretty, s.Body, "", "  ") == nil {
		body = pretty.String()
	}
	return fmt.Sprintf("%s  %s  %s  %s  %s\n%s\n\n",
		s.ReceivedAt.Format("15:04:05.000"), s.ID, signature, age, s.Path, body)
}

// line is for programs: one JSON object.
func (s shownWebhook) line() string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(s) // the body is valid JSON, and the rest always encodes
	return out.String()
}

// harmless escapes what a terminal could act on: control characters, line ends, characters that change the writing
// direction, and bytes that are no UTF-8. The escapes are JSON's, so that a JSON text keeps its meaning. The zero width
// joiner stays, which emoji are made with.
func harmless(text string) string {
	const zeroWidthJoiner = '\u200d'
	var out strings.Builder
	for _, r := range strings.ToValidUTF8(text, "\uFFFD") {
		switch {
		case r == zeroWidthJoiner || !unicode.In(r, unicode.C, unicode.Zl, unicode.Zp):
			out.WriteRune(r)
		case r > 0xFFFF:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return out.String()
}
