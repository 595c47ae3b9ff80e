package delivery

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"attendee-relay/internal/secret"
	"attendee-relay/outbox"
)

var (
	// errTimeout and errInterrupted are the causes with which an exchange is cancelled: by its own deadline, or by the
	// end of the process's patience at shutdown.
	errTimeout     = errors.New("the exchange took longer than DELIVERY_TIMEOUT")
	errInterrupted = errors.New("the relay was stopped before the exchange ended")
)

// Exchange is the result of one attempt: the part that is recorded, and the part that only the policy needs.
type Exchange struct {
	Attempt outbox.Attempt
	// Reason is the one word for how it ended, one of a fixed list.
	Reason Reason
	// fate is what that means for the message.
	fate fate
	// RetryAfter is that header of the answer, as it came.
	RetryAfter string
	// Reused: it went over a connection that was open already.
	Reused bool
}

// Sender makes one HTTP exchange for one message. It is safe for concurrent use.
type Sender struct {
	connector *connector
	transport *http.Transport
	guard     *guard
	signer    *signer
	secrets   []secret.String
	allowHTTP bool
	timeout   time.Duration
	userAgent string
}

// NewSender returns a Sender; version becomes part of its User-Agent.
func NewSender(cfg Config, version string) (*Sender, error) {
	signer, err := newSigner(cfg.SigningSecrets)
	if err != nil {
		return nil, err
	}
	connector, err := newConnector(cfg)
	if err != nil {
		return nil, err
	}
	// Go reads the system's certificate authorities once, at the first handshake. Without a free file descriptor then,
	// every certificate would be unknown for as long as the process lives.
	_, _ = x509.SystemCertPool()
	return &Sender{
		connector: connector,
		transport: newTransport(cfg, connector),
		guard:     newGuard(cfg.AllowNetworks, cfg.DenyNetworks),
		signer:    signer,
		secrets:   cfg.SigningSecrets,
		allowHTTP: cfg.AllowHTTP,
		timeout:   cfg.Timeout,
		userAgent: "attendee-relay/" + version,
	}, nil
}

// CloseIdleConnections closes the connections that wait for a next message.
func (s *Sender) CloseIdleConnections() { s.transport.CloseIdleConnections() }

// Send posts m once and reads the answer, within the timeout. Whatever goes wrong is part of the Exchange.
func (s *Sender) Send(ctx context.Context, m outbox.Message) Exchange {
	start := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, s.timeout, errTimeout)
	defer cancel()

	x := s.exchange(ctx, &m, start)
	x.Attempt.StartedAt = start
	if x.Attempt.Error != errNotPublic.Error() { // the time that a look-up took would tell what its text does not
		x.Attempt.Duration = time.Since(start)
	}
	return x
}

func (s *Sender) exchange(ctx context.Context, m *outbox.Message, now time.Time) Exchange {
	progress := &progress{}
	headers, err := rowHeaders(m.Headers)
	if err != nil {
		return failed(err, progress, nil)
	}
	hidden := &mask{secrets: append(slices.Clone(s.secrets), m.Secret), headers: headers}
	req, err := s.request(progress.trace(ctx), m, headers, now)
	if err != nil {
		return failed(err, progress, hidden)
	}
	resp, err := s.transport.RoundTrip(req)
	if err != nil {
		// A cancelled dial, handshake and read each fail in words of their own; the cause says why all of them did.
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return reusing(hidden.covering(failed(err, progress, hidden)), progress)
	}
	defer resp.Body.Close()
	return reusing(hidden.covering(answered(resp, hidden)), progress)
}

// request builds the request by hand: http.NewRequest would set GetBody, with which the transport sends a POST again by
// itself after HTTP/2's GOAWAY and REFUSED_STREAM. For the same reason there is no Idempotency-Key header.
func (s *Sender) request(ctx context.Context, m *outbox.Message, headers []header,
	now time.Time) (*http.Request, error) {
	if len(m.Payload) == 0 {
		return nil, errErased
	}
	u, err := s.destination(m.URL)
	if err != nil {
		return nil, err
	}
	timestamp := strconv.FormatInt(now.Unix(), 10)
	signature, err := s.signer.signature(m, timestamp)
	if err != nil {
		return nil, err
	}
	header := http.Header{
		"Accept":            {"*/*"},
		"Content-Type":      {"application/json"},
		"User-Agent":        {s.userAgent},
		"Webhook-Id":        {m.ID},
		"Webhook-Timestamp": {timestamp},
	}
	for _, h := range headers {
		header[h.name] = []string{h.value}
	}
	if signature != "" {
		header["Webhook-Signature"] = []string{signature}
	}
	req := &http.Request{
		Method: http.MethodPost, URL: u, Host: u.Host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(bytes.NewReader(m.Payload)), ContentLength: int64(len(m.Payload)),
	}
	return req.WithContext(ctx), nil
}

// destination reads a message's URL and refuses what must not be sent to.
func (s *Sender) destination(raw string) (*url.URL, error) {
	u, err := target(raw, s.allowHTTP)
	if err != nil {
		return nil, err
	}
	if err := s.guard.literal(u.Host); err != nil {
		return nil, err
	}
	return netURL(u)
}

// answered judges an answer by its status alone: a 2xx whose body is cut, late or endless was received.
// Of its body nothing of what is hidden is kept.
func answered(resp *http.Response, hidden *mask) Exchange {
	x := Exchange{RetryAfter: resp.Header.Get("Retry-After")}
	x.Attempt.Status = resp.StatusCode
	x.Reason, x.Attempt.Error, x.fate = judge(ending{status: resp.StatusCode})
	if x.Reason == reasonRedirect {
		x.Attempt.Error += leadsTo(resp.Header.Get("Location"))
	}
	// After 101 the body is the bare connection, which no deadline of ours reaches.
	if resp.StatusCode != http.StatusSwitchingProtocols {
		x.Attempt.Response = excerpt(resp.Body, hidden)
	}
	return x
}

// failed judges an exchange that brought no answer. It keeps the bytes that were received instead, without secrets.
func failed(err error, p *progress, hidden *mask) Exchange {
	first := p.first()
	if other, ok := errors.AsType[*notTLSError](err); ok {
		first = other.first
	}
	x := Exchange{}
	e := ending{err: err, at: p.step(), first: first}
	e.short = atLookup(e) && descriptorsShort()
	x.Reason, x.Attempt.Error, x.fate = judge(e)
	x.Attempt.Response = shown(hidden.withoutStart(hidden.hide(string(first), 0)), hidden)
	return x
}

func reusing(x Exchange, p *progress) Exchange {
	x.Reused = p.reused.Load()
	return x
}
