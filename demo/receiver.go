package demo

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// maxBody bounds what a sender can make the receiver hold.
const maxBody = 1 << 20

// ErrNoSecret is the VerifyError of a webhook that nothing could be verified with.
var ErrNoSecret = errors.New("no secret to verify it with")

// Received is one request that the receiver read whole.
type Received struct {
	// ID is the webhook-id: equal for all attempts of one message.
	ID string
	// At is when the last byte of the body had been read.
	At   time.Time
	Path string
	// Verified says that a known secret signed it; otherwise VerifyError says why not.
	Verified    bool
	VerifyError error
	Body        []byte
}

// Receiver is an HTTP handler that verifies Standard Webhooks signatures and hands on what it received. It answers 204,
// and 401 to a request that none of its secrets signed; a receiver without secrets takes everything.
type Receiver struct {
	webhooks []*standardwebhooks.Webhook

	mu     sync.Mutex // one request is handed on at a time
	handOn func(Received)
}

// NewReceiver returns a receiver that knows these secrets: whsec_ and base64, or any other text, which is the key as it
// stands. It calls received for every request with a body, before it answers, and never twice at the same time.
func NewReceiver(secrets []string, received func(Received)) *Receiver {
	r := &Receiver{handOn: received}
	for _, secret := range secrets {
		r.webhooks = append(r.webhooks, webhookOf(secret))
	}
	return r
}

func webhookOf(secret string) *standardwebhooks.Webhook {
	if strings.HasPrefix(secret, "whsec_") {
		if webhook, err := standardwebhooks.NewWebhook(secret); err == nil {
			return webhook
		}
	}
	webhook, _ := standardwebhooks.NewWebhookRaw([]byte(secret)) // never fails
	return webhook
}

// ServeHTTP implements http.Handler.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	if request.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "webhooks are sent by POST", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, request.Body, maxBody))
	if err != nil {
		status := http.StatusBadRequest
		if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
			status = http.StatusRequestEntityTooLarge
		}
		http.Error(w, "the body could not be read", status)
		return
	}
	received := Received{
		ID:   request.Header.Get(standardwebhooks.HeaderWebhookID),
		At:   time.Now(),
		Path: request.URL.Path,
		Body: body,
	}
	received.VerifyError = r.verify(body, request.Header)
	received.Verified = received.VerifyError == nil

	r.mu.Lock()
	r.handOn(received)
	r.mu.Unlock()

	if !received.Verified && len(r.webhooks) > 0 {
		http.Error(w, "the signature does not verify", http.StatusUnauthorized)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// verify returns nil when any secret verifies the signature, else what the last one found.
func (r *Receiver) verify(body []byte, header http.Header) error {
	err := ErrNoSecret
	for _, webhook := range r.webhooks {
		if err = webhook.Verify(body, header); err == nil {
			return nil
		}
	}
	return err
}
