package delivery

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestEveryStatusHasItsReason(t *testing.T) {
	t.Parallel()
	named := map[int]Reason{401: "unauthorized", 403: "forbidden", 404: "not_found", 405: "method", 408: "slow_request",
		410: "gone", 413: "too_large", 429: "rate_limited", 502: "bad_gateway", 503: "unavailable", 504: "gateway_timeout"}
	classes := map[int]Reason{2: reasonDelivered, 3: "redirect", 4: "rejected", 5: "server_error"}
	for code := 1; code < 1000; code++ {
		want := Reason("unexpected")
		if class, ok := classes[code/100]; ok {
			want = class
		}
		if name, ok := named[code]; ok {
			want = name
		}
		fated := map[Reason]fate{reasonDelivered: delivered, "gone": held}[want]
		if fated == "" {
			fated = retried
		}
		got, text, became := judge(ending{status: code})
		if got != want || became != fated {
			t.Errorf("status %d: %s, %s; want %s, %s", code, got, became, want, fated)
		}
		if (text == "") != (got == reasonDelivered) {
			t.Errorf("status %d: recorded as %q", code, text)
		}
		if text != "" && !strings.HasPrefix(text, fmt.Sprintf("%s: status %d, ", got, code)) {
			t.Errorf("status %d: recorded as %q", code, text)
		}
	}
}

func TestEveryTransportErrorHasItsReason(t *testing.T) {
	t.Parallel()
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	call := func(number syscall.Errno) error { return dial(os.NewSyscallError("connect", number)) }
	cert := func(err error) error { return &tls.CertificateVerificationError{Err: err} }
	seen := map[string]bool{}
	for _, c := range []struct {
		err  error
		at   step
		want string
	}{
		{dial(errNotPublic), stepConnect, "refused: address is not public"},
		{errSecret, stepConnect, "refused: the signing secret is not whsec_ and base64"},
		{errErased, stepConnect, "refused: the body was erased"},
		{errURLScheme, stepConnect, "refused: the URL must begin with https://"},
		{errInterrupted, stepConnect, "interrupted: the relay was stopped before an answer came"},
		{context.Canceled, stepAnswer, "interrupted: the relay was stopped before an answer came"},
		{errTimeout, stepLookup, "timeout: the look-up of the host took too long"},
		{errTimeout, stepConnect, "timeout: no connection in time"},
		{dial(context.DeadlineExceeded), stepConnect, "timeout: no connection in time"},
		{errTimeout, stepTLS, "timeout: the TLS handshake was not finished in time"},
		{errTimeout, stepAnswer, "timeout: no answer in time"},
		{dial(&net.DNSError{Name: "x.example", IsNotFound: true}), stepConnect, "dns: no such host"},
		{dial(&net.DNSError{Name: "x.example", IsTimeout: true}), stepConnect, "dns: the look-up took too long"},
		{dial(&net.DNSError{Name: "x.example", Err: "server misbehaving"}), stepConnect, "dns: the look-up failed"},
		{cert(x509.HostnameError{Certificate: &x509.Certificate{}, Host: "x"}), stepTLS, "tls: the certificate is for another host"},
		{cert(x509.UnknownAuthorityError{}), stepTLS, "tls: the certificate is signed by an unknown authority"},
		{cert(x509.CertificateInvalidError{Reason: x509.Expired}), stepTLS, "tls: the certificate has expired or is not valid yet"},
		{cert(x509.CertificateInvalidError{Reason: x509.NotAuthorizedToSign}), stepTLS, "tls: the certificate is not valid"},
		{tls.RecordHeaderError{Msg: "x"}, stepTLS, "tls: the server does not speak TLS"},
		{&net.OpError{Op: "remote error", Err: tls.AlertError(40)}, stepTLS, "tls: the server refused the handshake"},
		{io.EOF, stepTLS, "tls: the connection was closed during the handshake"},
		{errors.New("tls: server selected unsupported protocol version 301"), stepTLS, "tls: the handshake failed"},
		{call(syscall.ECONNREFUSED), stepConnect, "connect: connection refused"},
		{call(syscall.EHOSTUNREACH), stepConnect, "connect: the host cannot be reached"},
		{call(syscall.ENETUNREACH), stepConnect, "connect: the host cannot be reached"},
		{call(syscall.ETIMEDOUT), stepConnect, "timeout: no connection in time"},
		{call(syscall.EMFILE), stepConnect, "short: the relay has no free file descriptor"},
		{call(syscall.EPROTO), stepConnect, "connect: the connection could not be made"},
		{io.ErrUnexpectedEOF, stepAnswer, "reset: the connection was closed before an answer came"},
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, stepAnswer, "reset: the connection was closed before an answer came"},
		{&net.OpError{Op: "write", Err: syscall.EPIPE}, stepAnswer, "reset: the connection was closed before an answer came"},
		{errors.New("http: server closed idle connection"), stepAnswer, "reset: the connection was closed before an answer came"},
		{errors.New("net/http: server response headers exceeded 65536 bytes; aborted"), stepAnswer, "protocol: the header of the answer is too large"},
		{errors.New(`malformed HTTP response "\x00hello"`), stepAnswer, "protocol: the answer is not valid HTTP"},
	} {
		// Whatever a library wraps around it, the reason is the same and nothing of the wrapping is shown.
		wrapped := &url.Error{Op: "Post", URL: "https://x.example/hook?token=hunter2", Err: c.err}
		for _, err := range []error{c.err, wrapped} {
			reason, text, became := judge(ending{err: err, at: c.at})
			if text != c.want || !strings.HasPrefix(text, string(reason)+": ") {
				t.Errorf("%v: %s %q, want %q", err, reason, text, c.want)
			}
			if (became == undone) != (reason == reasonInterrupted) ||
				(became == unsent) != (errors.Is(err, errSecret) || errors.Is(err, errErased)) ||
				(became == postponed) != (reason == reasonShort) ||
				became != undone && became != unsent && became != postponed && became != retried {
				t.Errorf("%v: %s", err, became)
			}
			seen[text] = true
		}
	}
	for _, v := range verdicts {
		if text := string(v.reason) + ": " + v.meaning; !ofAStatus(v.is) && v.reason != reasonRefused && !seen[text] {
			t.Errorf("no case above is %s", text)
		}
	}
}

// ofAStatus reports whether a verdict is one on a status; the test of all statuses looks at those.
func ofAStatus(is func(ending) bool) bool {
	for code := 1; code < 1000; code++ {
		if is(ending{status: code}) && !is(ending{err: io.ErrNoProgress}) {
			return true
		}
	}
	return false
}

func TestExcerptIsPrintable(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		"":                                   "",
		"ok":                                 "ok",
		"  two\r\n\t lines \n":               "two lines",
		"nul\x00 bell\a esc\x1b[31m":         "nul bell esc[31m",
		"cut rune \xe2\x82":                  "cut rune",
		"\xff\xfebinary\x80":                 "binary",
		"bidi \u202egnp.exe \u200bzero":      "bidi gnp.exe zero",
		"žluťoučký kůň 登録 ✓":                 "žluťoučký kůň 登録 ✓",
		"no\u00a0break\u2028separator\u0085": "no break separator",
	} {
		if got := excerpt(strings.NewReader(body)); got != want {
			t.Errorf("%q: %q, want %q", body, got, want)
		}
	}
	if got := excerpt(strings.NewReader(strings.Repeat("€", 10_000))); len(got) > maxExcerpt || strings.ContainsRune(got, 0xfffd) {
		t.Errorf("%d bytes kept", len(got))
	}
}
