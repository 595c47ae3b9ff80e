package delivery

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
)

// failures says what an exchange without an answer died of, the first that matches decides. The texts are ours: those of
// the libraries hold host names, addresses, and bytes that the receiver chose.
var failures = []struct {
	reason Reason
	text   string
	match  func(err error, at step) bool
}{
	{reasonInterrupted, "the relay was stopped before an answer came", interrupted},

	{"dns", "no such host", dns(func(e *net.DNSError) bool { return e.IsNotFound })},
	{"dns", "the look-up took too long", dns(func(e *net.DNSError) bool { return e.IsTimeout })},
	{"dns", "the look-up failed", dns(func(*net.DNSError) bool { return true })},

	{"timeout", "the look-up of the host took too long", timedOut(stepLookup)},
	{"timeout", "no connection in time", timedOut(stepConnect)},
	{"timeout", "the TLS handshake was not finished in time", timedOut(stepTLS)},
	{"timeout", "no answer in time", timedOut(stepAnswer)},

	{"tls", "the certificate is for another host", certificate[x509.HostnameError]},
	{"tls", "the certificate is signed by an unknown authority", certificate[x509.UnknownAuthorityError]},
	{"tls", "the certificate has expired or is not valid yet", expired},
	{"tls", "the certificate is not valid", certificate[*tls.CertificateVerificationError]},
	{"tls", "the server does not speak TLS", certificate[tls.RecordHeaderError]},
	{"tls", "the server refused the handshake", alerted},
	{"tls", "the connection was closed during the handshake", func(err error, at step) bool {
		return at == stepTLS && closed(err)
	}},
	{"tls", "the handshake failed", func(_ error, at step) bool { return at == stepTLS }},

	{"connect", "connection refused", oneOf(syscall.ECONNREFUSED)},
	{"connect", "the host cannot be reached", oneOf(syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EADDRNOTAVAIL)},
	{"connect", "the connection could not be made", func(_ error, at step) bool { return at == stepConnect }},

	{"protocol", "the header of the answer is too large", oversized},
	{"reset", "the connection was closed before an answer came", func(err error, _ step) bool { return closed(err) }},
	{"protocol", "the answer is not valid HTTP", func(error, step) bool { return true }},
}

// ofError returns the reason of a failed exchange and the text to record.
func ofError(err error, at step) (Reason, string) {
	// A refusal is a sentence already; it comes from the URL, the secret, or the socket.
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		return reasonRefused, refusal.Error()
	}
	for _, f := range failures {
		if f.match(err, at) {
			return f.reason, string(f.reason) + ": " + f.text
		}
	}
	return "protocol", "protocol: the exchange failed" // not reached: the last entry matches everything
}

func interrupted(err error, _ step) bool {
	return errors.Is(err, errInterrupted) || errors.Is(err, context.Canceled)
}

func timedOut(at step) func(error, step) bool {
	return func(err error, reached step) bool {
		// The dialer and the kernel have deadlines of their own, which may come first by a hair.
		e, ok := errors.AsType[net.Error](err)
		return reached == at && (errors.Is(err, errTimeout) || ok && e.Timeout())
	}
}

func dns(is func(*net.DNSError) bool) func(error, step) bool {
	return func(err error, _ step) bool {
		e, ok := errors.AsType[*net.DNSError](err)
		return ok && is(e)
	}
}

func certificate[E error](err error, _ step) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func expired(err error, _ step) bool {
	e, ok := errors.AsType[x509.CertificateInvalidError](err)
	return ok && e.Reason == x509.Expired
}

// alerted knows an alert that the server sent; crypto/tls gives it no type of its own.
func alerted(err error, _ step) bool {
	e, ok := errors.AsType[*net.OpError](err)
	return ok && e.Op == "remote error"
}

func oneOf(numbers ...syscall.Errno) func(error, step) bool {
	return func(err error, _ step) bool {
		number, ok := errors.AsType[syscall.Errno](err)
		if !ok {
			return false
		}
		for _, n := range numbers {
			if number == n {
				return true
			}
		}
		return false
	}
}

// closed reports whether the other side ended the connection or the stream. Some of net/http's errors for that have a
// text only; Go 1.26's are listed, and one unknown is still a failure, under another word.
func closed(err error) bool {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		oneOf(syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED)(err, stepAnswer) {
		return true
	}
	text := err.Error()
	for _, part := range []string{"server closed idle connection", "GOAWAY", "stream error",
		"client connection lost", "client conn is closed", "client conn not usable", "cannot rewind body"} {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}

// oversized knows net/http's two texts for a header over MaxResponseHeaderBytes, of HTTP/1 and of HTTP/2.
func oversized(err error, _ step) bool {
	return strings.Contains(err.Error(), "response headers exceeded") ||
		strings.Contains(err.Error(), "response header list larger")
}
