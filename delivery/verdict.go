package delivery

import (
	"cmp"
	"strconv"
)

// Reason is the one word for how an attempt ended. Logs show it; the text recorded with an attempt begins with it.
type Reason string

const (
	reasonDelivered   Reason = "delivered"
	reasonInterrupted Reason = "interrupted"
	reasonRefused     Reason = "refused"
	reasonRedirect    Reason = "redirect"
	reasonShort       Reason = "short"
)

// fate is what an ending means for the message.
type fate string

const (
	// delivered: done.
	delivered fate = "delivered"
	// retried: tried again by the schedule, and a failure of the endpoint.
	retried fate = "retried"
	// held: kept until the endpoint, which is disabled by it, is enabled or has another URL.
	held fate = "held"
	// unsent: tried again by the schedule; it says nothing of the endpoint, for there was no request.
	unsent fate = "unsent"
	// undone: tried again as if it had not been; it says nothing of the endpoint.
	undone fate = "undone"
	// postponed: there was no attempt, for a reason of this process's own; the message is given back.
	postponed fate = "postponed"
)

// ending is how an exchange ended: with a status, or with an error after it had come to a step. first holds the first
// bytes that came back without a status.
type ending struct {
	status int
	err    error
	at     step
	first  []byte
	// short: there is no free file descriptor.
	short bool
}

// verdicts says what each ending means; the first that matches decides. Only a 2xx is success, only a 410 is meant for
// good; everything else is retried, because organisers fix their receivers. The texts are ours: those of the libraries
// hold host names, addresses, and bytes that the receiver chose.
var verdicts = []struct {
	reason  Reason
	meaning string
	fate    fate
	is      func(ending) bool
}{
	{reasonDelivered, "", delivered, statusIn(200, 299)},
	{reasonRedirect, "redirects are not followed", retried, statusIn(300, 399)},
	{"unauthorized", "the receiver may have refused the signature (compare the secrets), or asks for credentials", retried,
		statusIn(401, 401)},
	{"forbidden", "the receiver refuses the request, perhaps because of its signature", retried, statusIn(403, 403)},
	{"not_found", "nothing is at the URL", retried, statusIn(404, 404)},
	{"method", "the URL takes no POST", retried, statusIn(405, 405)},
	{"slow_request", "the receiver waited too long for the request", retried, statusIn(408, 408)},
	{"gone", "the receiver wants no more messages", held, statusIn(410, 410)},
	{"too_large", "the receiver finds the message too large", retried, statusIn(413, 413)},
	{"rate_limited", "the receiver asks for fewer requests", retried, statusIn(429, 429)},
	{"rejected", "the receiver rejects the message", retried, statusIn(400, 499)},
	{"bad_gateway", "the receiver's proxy cannot reach it", retried, statusIn(502, 502)},
	{"unavailable", "the receiver is not available", retried, statusIn(503, 503)},
	{"gateway_timeout", "the receiver's proxy waited too long for it", retried, statusIn(504, 504)},
	{"server_error", "the receiver failed", retried, statusIn(500, 599)},
	// 101, the one 1xx that ends an exchange, and numbers that HTTP has no meaning for.
	{"unexpected", "this is no answer to a webhook", retried, statusIn(1, 999)},

	// A refusal is a sentence already; it comes from the message, the URL, or the socket.
	{reasonRefused, "", unsent, refusedFor(unsendable...)},
	{reasonRefused, "", retried, refused},
	{reasonShort, "the relay has no free file descriptor", postponed, short},
	// In the same words as a refused address: see errNotPublic. On a machine without IPv6 there is no socket for an IPv6
	// address that the guard could look at.
	{reasonRefused, "", retried, dns(isNotFound)},
	{reasonRefused, "", retried, noSuchFamily},
	{reasonInterrupted, "the relay was stopped before an answer came", undone, interrupted},

	{"dns", "the look-up took too long", retried, dns(isTimeout)},
	{"dns", "the look-up failed", retried, dns(isAny)},

	{"protocol", "the answer is not HTTP", retried, spoke},
	{"timeout", "the look-up of the host took too long", retried, timedOut(stepLookup)},
	{"timeout", "no connection in time", retried, timedOut(stepConnect)},
	{"timeout", "the TLS handshake was not finished in time", retried, timedOut(stepTLS)},
	{"timeout", "no answer in time", retried, timedOut(stepAnswer)},

	{"tls", "the certificate is for another host name", retried, wrongHost},
	{"tls", "the relay knows no certificate authorities: install the system's or set DELIVERY_CA_FILE", retried, noRoots},
	{"tls", "the certificate is self-signed; DELIVERY_CA_FILE can make the relay trust it", retried, selfSigned},
	{"tls",
		"the server does not send its intermediate certificate, or its authority is unknown (DELIVERY_CA_FILE)",
		retried, incomplete},
	{"tls",
		"the certificate is signed by an unknown authority (DELIVERY_CA_FILE), or an intermediate certificate is missing",
		retried, unknownAuthority},
	{"tls", "the certificate is not valid yet", retried, notYetValid},
	{"tls", "a certificate that the server's own depends on has expired", retried, expiredAuthority},
	{"tls", "the certificate has expired", retried, expired},
	{"tls", "the certificate is not one for servers", retried, wrongUsage},
	{"tls", "the certificate is not valid", retried, notValid},
	{"tls", "the server does not speak TLS", retried, notTLS},
	{"tls", "the server offers no TLS 1.2 or newer", retried, oldTLS},
	{"tls", "the server knows no such host name", retried, alerted("unrecognized name")},
	{"tls", "the server asks for a client certificate, and the relay has none", retried,
		alerted("certificate required", "bad certificate")},
	{"tls", "the server refused the handshake: it shares no cipher with the relay, or asks for a client certificate",
		retried, alerted("handshake failure")},
	{"tls", "the server refused the handshake", retried, alerted()},
	{"tls", "the connection was closed during the handshake", retried, closedAt(stepTLS)},
	{"tls", "the handshake failed", retried, failedAt(stepTLS)},

	{"connect", "connection refused", retried, refusedConnection},
	{"connect", "the host cannot be reached", retried, unreachable},
	{"connect", "the connection could not be made", retried, failedAt(stepConnect)},

	{"protocol", "the header of the answer is too large", retried, oversized},
	{"reset", "the connection was closed before an answer came", retried, closed},
	{"protocol", "the answer is not valid HTTP", retried, anything},
}

// judge returns the reason of an ending, the text to record, which is empty for a success, and what it means.
func judge(e ending) (Reason, string, fate) {
	for _, v := range verdicts {
		switch {
		case !v.is(e):
			continue
		case v.fate == delivered:
			return v.reason, "", v.fate
		case v.reason == reasonRefused:
			return v.reason, cmp.Or(refusal(e), errNotPublic).Error(), v.fate
		case e.err == nil:
			return v.reason, string(v.reason) + ": status " + strconv.Itoa(e.status) + ", " + v.meaning, v.fate
		default:
			return v.reason, string(v.reason) + ": " + v.meaning, v.fate
		}
	}
	return "protocol", "protocol: the exchange failed", retried // not reached: the last entry matches everything
}
