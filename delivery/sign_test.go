package delivery

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"attendee-relay/internal/secret"
)

// The published test vector of Standard Webhooks.
const (
	vectorSecret    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	vectorTimestamp = "1614265330"
	vectorSignature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
)

func TestSignatureIsThePublishedVector(t *testing.T) {
	t.Parallel()
	m := newMessage("https://example.org")
	shared := mustSigner(t, vectorSecret)
	own := m
	own.Secret = secret.New(vectorSecret)

	for range 3 { // a kept hash starts anew each time
		if got, err := shared.signature(&m, vectorTimestamp); err != nil || got != vectorSignature {
			t.Errorf("with the relay's secret: %q, %v", got, err)
		}
	}
	if got, err := mustSigner(t).signature(&own, vectorTimestamp); err != nil || got != vectorSignature {
		t.Errorf("with the message's secret: %q, %v", got, err)
	}
}

func TestSignatureHasOnePartForEachSecret(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		own    string
		shared []string
		want   int
	}{
		"one secret":         {shared: []string{vectorSecret}, want: 1},
		"two while rotating": {shared: []string{vectorSecret, otherSecret}, want: 2},
		"two in one text":    {shared: []string{vectorSecret + " \t" + otherSecret}, want: 2},
		"the message's own":  {own: otherSecret, shared: []string{vectorSecret, plainSecret}, want: 1},
		"two of its own":     {own: " " + otherSecret + "\r\n" + plainSecret + " ", shared: []string{vectorSecret}, want: 2},
	} {
		m := newMessage("https://example.org")
		m.Secret = secret.New(c.own)
		value, err := mustSigner(t, c.shared...).signature(&m, vectorTimestamp)
		if err != nil || strings.Count(value, "v1,") != c.want || strings.Count(value, " ") != c.want-1 {
			t.Errorf("%s: %d signatures wanted, have %q, %v", name, c.want, value, err)
		}
	}
}

func TestSignatureIsEmptyWithoutASecretAndRefusedWithABadOne(t *testing.T) {
	t.Parallel()
	m := newMessage("https://example.org")
	if got, err := mustSigner(t).signature(&m, vectorTimestamp); err != nil || got != "" {
		t.Errorf("without a secret: %q, %v", got, err)
	}
	m.HadSecret = true
	if got, err := mustSigner(t).signature(&m, vectorTimestamp); !errors.Is(err, errUnsigned) || got != "" {
		t.Errorf("a message that had a secret: %q, %v", got, err)
	}
	if got, err := mustSigner(t, vectorSecret).signature(&m, vectorTimestamp); err != nil || got != vectorSignature {
		t.Errorf("a message that had a secret, with the relay's: %q, %v", got, err)
	}
	for _, text := range []string{" ", "seven77", vectorSecret + " short", "whsec_AAAAAAAAAA==", "whsec_",
		"whsec_not base64!",
		"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS"} {
		m.Secret = secret.New(text)
		got, err := mustSigner(t, vectorSecret).signature(&m, vectorTimestamp)
		if _, refused := errors.AsType[*Refusal](err); !refused || got != "" {
			t.Errorf("secret %q: %q, %v; must not be sent", text, got, err)
		}
		if hidden := strings.TrimPrefix(text, "whsec_"); err != nil && len(hidden) > 1 &&
			strings.Contains(err.Error(), hidden) {
			t.Errorf("the error shows the secret: %v", err)
		}
	}
}

func TestSignatureOfConcurrentMessagesIsTheirOwn(t *testing.T) {
	t.Parallel()
	s := mustSigner(t, vectorSecret)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			m := newMessage("https://example.org")
			m.ID = "msg_" + strconv.Itoa(i)
			first, _ := s.signature(&m, vectorTimestamp)
			for range 200 {
				if again, _ := s.signature(&m, vectorTimestamp); again != first {
					t.Errorf("message %d: %q, then %q", i, first, again)
					return
				}
			}
		})
	}
	all.Wait()
}

func mustSigner(t testing.TB, texts ...string) *signer {
	t.Helper()
	var secrets []secret.String
	for _, text := range texts {
		secrets = append(secrets, secret.New(text))
	}
	s, err := newSigner(secrets)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// verifier is a receiver that was told the secret's text.
func verifier(t testing.TB, text string) *standardwebhooks.Webhook {
	t.Helper()
	if !strings.HasPrefix(text, secretPrefix) {
		w, err := standardwebhooks.NewWebhookRaw([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	w, err := standardwebhooks.NewWebhook(text)
	if err != nil {
		t.Fatal(err)
	}
	return w
}
