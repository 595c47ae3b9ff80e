package delivery

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
)

// The conditions of the verdicts. They examine the error's type; where net/http has only a text, that of Go 1.26 is
// known, and an unknown one is still a failure, under another word.

// httpVersion is what every answer of HTTP/1 begins with.
var httpVersion = []byte("HTTP/")

func anything(ending) bool { return true }

func statusIn(first, last int) func(ending) bool {
	return func(e ending) bool { return e.err == nil && first <= e.status && e.status <= last }
}

// failedAt matches any error after an exchange had come to a step.
func failedAt(reached step) func(ending) bool {
	return func(e ending) bool { return e.err != nil && e.at == reached }
}

func refused(e ending) bool { return refusal(e) != nil }

// refusedFor matches refusals for what is in the message.
func refusedFor(reasons ...*Refusal) func(ending) bool {
	return func(e ending) bool { return slices.Contains(reasons, refusal(e)) }
}

func refusal(e ending) *Refusal {
	r, _ := errors.AsType[*Refusal](e.err)
	return r
}

func interrupted(e ending) bool {
	return errors.Is(e.err, errInterrupted) || errors.Is(e.err, context.Canceled)
}

func timedOut(reached step) func(ending) bool {
	return func(e ending) bool {
		// The dialer and the kernel have deadlines of their own, which may come first by a hair.
		late, ok := errors.AsType[net.Error](e.err)
		return e.at == reached && (errors.Is(e.err, errTimeout) || ok && late.Timeout())
	}
}

// short reports whether no connection was opened because this process or its machine lacks what one takes.
func short(e ending) bool {
	return e.err != nil && e.at < stepAnswer && (isShort(e.err) || e.short || says(e, "too many open files"))
}

func atLookup(e ending) bool { return e.at == stepLookup || is[*net.DNSError](e) }

func dns(is func(*net.DNSError) bool) func(ending) bool {
	return func(e ending) bool {
		d, ok := errors.AsType[*net.DNSError](e.err)
		return ok && is(d)
	}
}

func isNotFound(e *net.DNSError) bool { return e.IsNotFound }
func isTimeout(e *net.DNSError) bool  { return e.IsTimeout }
func isAny(*net.DNSError) bool        { return true }

func is[E error](e ending) bool {
	_, ok := errors.AsType[E](e.err)
	return ok
}

// spoke knows bytes that came instead of an answer. They count before the way in which the exchange ended, which only
// depends on who lost patience first.
func spoke(e ending) bool {
	begun := httpVersion[:min(len(httpVersion), len(e.first))]
	return e.err != nil && e.at == stepAnswer && len(e.first) > 0 && !bytes.HasPrefix(e.first, begun)
}

func refusedConnection(e ending) bool { return numbered(e, syscall.ECONNREFUSED) }

func unreachable(e ending) bool {
	return numbered(e, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EADDRNOTAVAIL)
}

func noSuchFamily(e ending) bool { return numbered(e, syscall.EAFNOSUPPORT) }

func numbered(e ending, numbers ...syscall.Errno) bool {
	number, ok := errors.AsType[syscall.Errno](e.err)
	return ok && slices.Contains(numbers, number)
}

// closed reports whether the other side ended the connection or the stream.
func closed(e ending) bool {
	if e.err == nil {
		return false
	}
	if errors.Is(e.err, io.EOF) || errors.Is(e.err, io.ErrUnexpectedEOF) || errors.Is(e.err, net.ErrClosed) ||
		numbered(e, syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED) {
		return true
	}
	return says(e, "server closed idle connection", "GOAWAY", "stream error",
		"client connection lost", "client conn is closed", "client conn not usable", "cannot rewind body")
}

func closedAt(reached step) func(ending) bool {
	return func(e ending) bool { return e.at == reached && closed(e) }
}

// oversized knows net/http's two texts for a header over MaxResponseHeaderBytes, of HTTP/1 and of HTTP/2.
func oversized(e ending) bool {
	return says(e, "response headers exceeded", "response header list larger")
}

func says(e ending, parts ...string) bool {
	return e.err != nil && slices.ContainsFunc(parts, func(part string) bool {
		return strings.Contains(e.err.Error(), part)
	})
}
