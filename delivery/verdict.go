package delivery

import "strconv"

// Reason is the one word for how an attempt ended. Logs show it; the text recorded with an attempt begins with it.
type Reason string

const (
	reasonDelivered   Reason = "delivered"
	reasonInterrupted Reason = "interrupted"
	reasonRefused     Reason = "refused"
)

// statuses says what an answer means, the first range that holds it decides. Only 2xx is success; everything else is
// retried by the schedule.
var statuses = []struct {
	first, last int
	reason      Reason
	meaning     string
}{
	{200, 299, reasonDelivered, ""},
	{300, 399, "redirect", "redirects are not followed"},
	{401, 401, "unauthorized", "the receiver asks for credentials"},
	{403, 403, "forbidden", "the receiver refuses the request"},
	{404, 404, "not_found", "nothing is at the URL"},
	{405, 405, "method", "the URL takes no POST"},
	{408, 408, "slow_request", "the receiver waited too long for the request"},
	{410, 410, "gone", "the receiver wants no more messages"},
	{413, 413, "too_large", "the receiver finds the message too large"},
	{429, 429, "rate_limited", "the receiver asks for fewer requests"},
	{400, 499, "rejected", "the receiver rejects the message"},
	{502, 502, "bad_gateway", "the receiver's proxy cannot reach it"},
	{503, 503, "unavailable", "the receiver is not available"},
	{504, 504, "gateway_timeout", "the receiver's proxy waited too long for it"},
	{500, 599, "server_error", "the receiver failed"},
	// 101, the one 1xx that ends an exchange, and numbers that HTTP has no meaning for.
	{0, 999, "unexpected", "this is no answer to a webhook"},
}

// ofStatus returns the reason of an answer and the text to record, which is empty for a success.
func ofStatus(code int) (Reason, string) {
	for _, s := range statuses {
		if code < s.first || code > s.last {
			continue
		}
		if s.reason == reasonDelivered {
			return s.reason, ""
		}
		return s.reason, string(s.reason) + ": status " + strconv.Itoa(code) + ", " + s.meaning
	}
	return "unexpected", "unexpected: no status"
}
