// Package delivery turns leased messages into signed HTTP requests, and what came back into outcomes.
//
// Its promise: no endpoint can hurt the relay or another endpoint. A URL typed by an organiser is dialled only when its
// address is public, one exchange takes no more than the timeout, an endpoint holds no more than its share of the
// requests in flight, and of an answer no more is read than a bound. A message is sent by whoever holds its lease, with
// the same id and the same bytes every time, and every attempt is handed back to be recorded.
//
// Dispatcher claims, sends and settles; cmd runs it. Sender is one exchange. The outcome of an attempt is decided by a
// pure policy over one table of statuses and transport errors.
package delivery
