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
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
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
	cert := func(err error, sent ...*x509.Certificate) error {
		return &tls.CertificateVerificationError{Err: err, UnverifiedCertificates: sent}
	}
	alert := func(text string) error { return &net.OpError{Op: "remote error", Err: errors.New("tls: " + text)} }
	unknown := x509.UnknownAuthorityError{}
	named := func(issuer, subject string) *x509.Certificate {
		return &x509.Certificate{RawIssuer: []byte(issuer), RawSubject: []byte(subject), Raw: []byte(subject),
			NotBefore: time.Now().Add(time.Hour)}
	}
	leaf := named("intermediate", "leaf")
	seen := map[string]bool{}
	for _, c := range []struct {
		err  error
		at   step
		want string
	}{
		{dial(errNotPublic), stepConnect, "refused: no such host, or its address is not public and not in " +
			"DELIVERY_ALLOW_NETWORKS, or it is in DELIVERY_DENY_NETWORKS"},
		{errSecret, stepConnect, "refused: the signing secret is not whsec_ and base64"},
		{errBlankSecret, stepConnect, "refused: the signing secret is blank; NULL means none"},
		{errShortSecret, stepConnect, "refused: the signing secret has fewer than 8 bytes, decoded if it begins with whsec_"},
		{errUnsigned, stepConnect,
			"refused: the row has no signing secret any more, and DELIVERY_SIGNING_SECRETS is not set"},
		{errErased, stepConnect, "refused: the body was erased"},
		{errURLScheme, stepConnect, "refused: the URL must begin with https://"},
		{errInterrupted, stepConnect, "interrupted: the relay was stopped before an answer came"},
		{context.Canceled, stepAnswer, "interrupted: the relay was stopped before an answer came"},
		{errTimeout, stepLookup, "timeout: the look-up of the host took too long"},
		{errTimeout, stepConnect, "timeout: no connection in time"},
		{dial(context.DeadlineExceeded), stepConnect, "timeout: no connection in time"},
		{errTimeout, stepTLS, "timeout: the TLS handshake was not finished in time"},
		{errTimeout, stepAnswer, "timeout: no answer in time"},
		{dial(&net.DNSError{Name: "x.example", IsNotFound: true}), stepConnect, errNotPublic.Error()},
		{dial(&net.DNSError{Name: "x.example", IsTimeout: true}), stepConnect, "dns: the look-up took too long"},
		{dial(&net.DNSError{Name: "x.example", Err: "server misbehaving"}), stepConnect, "dns: the look-up failed"},
		{cert(x509.HostnameError{Certificate: &x509.Certificate{}, Host: "x"}), stepTLS,
			"tls: the certificate is for another host name"},
		{cert(unknown, named("self", "self")), stepTLS,
			"tls: the certificate is self-signed; DELIVERY_CA_FILE can make the relay trust it"},
		{cert(unknown, leaf), stepTLS,
			"tls: the server does not send its intermediate certificate, or its authority is unknown (DELIVERY_CA_FILE)"},
		{cert(unknown, leaf, named("root", "another intermediate")), stepTLS,
			"tls: the server does not send its intermediate certificate, or its authority is unknown (DELIVERY_CA_FILE)"},
		{cert(unknown, leaf, named("self", "self"), named("root", "intermediate")), stepTLS,
			"tls: the certificate is signed by an unknown authority (DELIVERY_CA_FILE), or an intermediate certificate is " +
				"missing"},
		{cert(unknown, named("a", "leaf"), named("b", "a"), named("a", "b")), stepTLS,
			"tls: the certificate is signed by an unknown authority (DELIVERY_CA_FILE), or an intermediate certificate is " +
				"missing"},
		{cert(unknown), stepTLS,
			"tls: the certificate is signed by an unknown authority (DELIVERY_CA_FILE), or an intermediate certificate is " +
				"missing"},
		{cert(x509.SystemRootsError{}), stepTLS,
			"tls: the relay knows no certificate authorities: install the system's or set DELIVERY_CA_FILE"},
		{cert(x509.CertificateInvalidError{Reason: x509.Expired}), stepTLS, "tls: the certificate has expired"},
		{cert(x509.CertificateInvalidError{Reason: x509.Expired, Cert: leaf}, leaf), stepTLS,
			"tls: the certificate is not valid yet"},
		{cert(x509.CertificateInvalidError{Reason: x509.Expired, Cert: &x509.Certificate{}}, leaf), stepTLS,
			"tls: a certificate that the server's own depends on has expired"},
		{cert(x509.CertificateInvalidError{Reason: x509.IncompatibleUsage}), stepTLS,
			"tls: the certificate is not one for servers"},
		{cert(x509.CertificateInvalidError{Reason: x509.NotAuthorizedToSign}), stepTLS, "tls: the certificate is not valid"},
		{tls.RecordHeaderError{Msg: "x"}, stepTLS, "tls: the server does not speak TLS"},
		{alert("internal error"), stepTLS, "tls: the server refused the handshake"},
		{alert("handshake failure"), stepTLS,
			"tls: the server refused the handshake: it shares no cipher with the relay, or asks for a client certificate"},
		{alert("protocol version not supported"), stepTLS, "tls: the server offers no TLS 1.2 or newer"},
		{alert("unrecognized name"), stepTLS, "tls: the server knows no such host name"},
		{alert("certificate required"), stepAnswer, "tls: the server asks for a client certificate, and the relay has none"},
		{alert("bad certificate"), stepTLS, "tls: the server asks for a client certificate, and the relay has none"},
		{io.EOF, stepTLS, "tls: the connection was closed during the handshake"},
		{errors.New("tls: server selected unsupported protocol version 301"), stepTLS,
			"tls: the server offers no TLS 1.2 or newer"},
		{errors.New("tls: server's certificate contains an RSA key larger than 8192 bits"), stepTLS,
			"tls: the handshake failed"},
		{call(syscall.ECONNREFUSED), stepConnect, "connect: connection refused"},
		{call(syscall.EHOSTUNREACH), stepConnect, "connect: the host cannot be reached"},
		{call(syscall.ENETUNREACH), stepConnect, "connect: the host cannot be reached"},
		{call(syscall.ETIMEDOUT), stepConnect, "timeout: no connection in time"},
		{dial(os.NewSyscallError("socket", syscall.EAFNOSUPPORT)), stepConnect, errNotPublic.Error()},
		{call(syscall.EMFILE), stepConnect, "short: the relay has no free file descriptor"},
		{call(syscall.EPROTO), stepConnect, "connect: the connection could not be made"},
		{io.ErrUnexpectedEOF, stepAnswer, "reset: the connection was closed before an answer came"},
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, stepAnswer,
			"reset: the connection was closed before an answer came"},
		{&net.OpError{Op: "write", Err: syscall.EPIPE}, stepAnswer, "reset: the connection was closed before an answer came"},
		{errors.New("http: server closed idle connection"), stepAnswer,
			"reset: the connection was closed before an answer came"},
		{errors.New("net/http: server response headers exceeded 65536 bytes; aborted"), stepAnswer,
			"protocol: the header of the answer is too large"},
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
				(became == unsent) != slices.ContainsFunc(unsendable, func(r *Refusal) bool { return errors.Is(err, r) }) ||
				(became == postponed) != (reason == reasonShort) ||
				became != undone && became != unsent && became != postponed && became != retried {
				t.Errorf("%v: %s", err, became)
			}
			seen[text] = true
		}
	}
	for _, heard := range []string{"220 mail.example ESMTP", "h", "\x15\x03\x01", "HTTPS/1.1 200 OK"} {
		for _, err := range []error{io.EOF, errTimeout, errors.New("malformed HTTP response")} {
			_, text, became := judge(ending{err: err, at: stepAnswer, first: []byte(heard)})
			if text != "protocol: the answer is not HTTP" || became != retried {
				t.Errorf("%q, then %v: %q, %s", heard, err, text, became)
			}
			seen[text] = true
		}
	}
	_, text, _ := judge(ending{err: io.EOF, at: stepAnswer, first: []byte("HTT")})
	if !strings.HasPrefix(text, "reset: ") {
		t.Errorf("the beginning of an answer, then its end: %q", text)
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
		if got := excerpt(strings.NewReader(body), nil); got != want {
			t.Errorf("%q: %q, want %q", body, got, want)
		}
	}
	if got := excerpt(strings.NewReader(strings.Repeat("€", 10_000)), nil); len(got) > maxExcerpt ||
		strings.ContainsRune(got, 0xfffd) {
		t.Errorf("%d bytes kept", len(got))
	}
}
