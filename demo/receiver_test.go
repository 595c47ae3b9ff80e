package demo_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"attendee-relay/demo"
)

const (
	encoded = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	raw     = "no base64 !"
)

// signed returns a request with the headers that a sender with this secret adds; an empty secret adds no signature.
func signed(t *testing.T, secret string, at time.Time) *http.Request {
	t.Helper()
	request := httptest.NewRequest(http.MethodPost, "/hook", strings.NewReader("{}"))
	request.Header.Set("webhook-id", "msg_1")
	request.Header.Set("webhook-timestamp", at.UTC().Format("2006"))
	if secret == "" {
		return request
	}
	webhook, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		webhook, _ = standardwebhooks.NewWebhookRaw([]byte(secret))
	}
	signature, err := webhook.Sign("msg_1", at, []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("webhook-timestamp", unix(at))
	request.Header.Set("webhook-signature", "v1,bm90IHRoaXMgb25l "+signature)
	return request
}

func TestReceiverVerifies(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, c := range []struct {
		name    string
		secrets []string
		request *http.Request
		status  int
		err     error
	}{
		{"a known secret", []string{encoded}, signed(t, encoded, now), 204, nil},
		{"one of several secrets", []string{raw, encoded}, signed(t, encoded, now), 204, nil},
		{"a secret that is the key as it stands", []string{raw}, signed(t, raw, now), 204, nil},
		{"another secret", []string{raw}, signed(t, encoded, now), 401, standardwebhooks.ErrNoMatchingSignature},
		{"no signature", []string{encoded}, signed(t, "", now), 401, standardwebhooks.ErrRequiredHeaders},
		{"a replay of yesterday's", []string{encoded}, signed(t, encoded, now.Add(-24*time.Hour)), 401,
			standardwebhooks.ErrMessageTooOld},
		{"a receiver without secrets", nil, signed(t, encoded, now), 204, demo.ErrNoSecret},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var got []demo.Received
			receiver := demo.NewReceiver(c.secrets, func(r demo.Received) { got = append(got, r) })
			answer := httptest.NewRecorder()
			receiver.ServeHTTP(answer, c.request)
			if answer.Code != c.status || len(got) != 1 {
				t.Fatalf("answered %d, handed on %d", answer.Code, len(got))
			}
			r := got[0]
			if !errors.Is(r.VerifyError, c.err) || r.Verified != (c.err == nil) {
				t.Errorf("Verified = %t, %v", r.Verified, r.VerifyError)
			}
			if r.ID != "msg_1" || string(r.Body) != "{}" || r.Path != "/hook" || time.Since(r.At) > time.Minute {
				t.Errorf("received %+v", r)
			}
		})
	}
}

func TestReceiverRefusesWhatIsNoWebhook(t *testing.T) {
	t.Parallel()
	receiver := demo.NewReceiver(nil, func(demo.Received) { t.Error("handed on") })
	for name, c := range map[string]struct {
		request *http.Request
		status  int
	}{
		"a GET": {httptest.NewRequest(http.MethodGet, "/", nil), 405},
		"a body beyond measure": {httptest.NewRequest(http.MethodPost, "/", strings.NewReader(strings.Repeat("x", 2<<20))),
			413},
		"a body that breaks off": {httptest.NewRequest(http.MethodPost, "/", brokenBody{}), 400},
	} {
		answer := httptest.NewRecorder()
		receiver.ServeHTTP(answer, c.request)
		if answer.Code != c.status {
			t.Errorf("%s: answered %d", name, answer.Code)
		}
	}
}

type brokenBody struct{}

func (brokenBody) Read([]byte) (int, error) { return 0, errors.New("cut off") }

func TestDescribeIsSafeToPrint(t *testing.T) {
	t.Parallel()
	body := `{"type":"attendee_accepted","attendee":{"id":7,"name":"Eve\u001b[2J\u202e","surname":"\r\n👩‍🚀"},` +
		`"fee":{"price":123.45,"currency":"EUR"},"event":{"name":"Fest\u0007"},"group":{"name":"A"},` +
		`"form_fields":[{}],"additional_attendees":[{},{}]}`
	got := demo.Received{ID: "msg_1\x1b", Verified: true, Body: []byte(body)}.Describe()
	want := "attendee_accepted: Eve�[2J� ��👩‍🚀 + 2 more | Fest� | A | 123.45 EUR | 1 form fields | signature verified | " +
		"msg_1�"
	if got != want {
		t.Errorf("Describe() = %q\nwant         %q", got, want)
	}
	got = demo.Received{ID: "x", VerifyError: demo.ErrNoSecret, Body: []byte("\x00\xff")}.Describe()
	if got != "2 bytes that are no announcement | NOT VERIFIED: no secret to verify it with | x" {
		t.Errorf("Describe() = %q", got)
	}
}
