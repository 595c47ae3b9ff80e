package outbox

import (
	"slices"

	"github.com/google/uuid"
)

// redirection is what the payload query of now says of a message that was written before.
type redirection string

const (
	// stay: it goes where it was to go; move: to another URL, or with another secret or other headers.
	stay redirection = "stay"
	move redirection = "move"
	// blank: its row has no URL any more; removed: the query gives its endpoint no more.
	blank   redirection = "blank"
	removed redirection = "removed"
	// unanswered: the query gives no row; withdrawn: its source row is no longer accepted.
	unanswered redirection = "unanswered"
	withdrawn  redirection = "withdrawn"
	// unknown: the query gave no row before, and fails now.
	unknown redirection = "unknown"
)

// storedMessage is what a message was written with, and what the bookkeeping says of it now.
type storedMessage struct {
	row int64
	// recordedKey is the source row's key when the message was written, sourceKey the one that it has now.
	recordedKey, sourceKey            *string
	deliveryKey, url, secret, headers string
	attendee                          string
	// accepted: its source row still is.
	accepted bool
	// unanswered is how many times in a row the query gave no row for it.
	unanswered int
	// rivals are the endpoints that other messages of the same acceptance and attendee had or have.
	rivals []uuid.UUID
}

// asStored is the row of a message that stays as it is.
func (m *storedMessage) asStored() payload {
	return payload{url: m.url, secret: m.secret, headers: m.headers}
}

// redirect decides where a message goes, by the answers of the payload query: those of a key are missing if its query
// failed. The row that it returns has the URL, the secret and the headers to send with.
func redirect(m *storedMessage, answers map[string][]payload) (redirection, payload) {
	switch {
	case m == nil:
		return stay, payload{}
	case !m.accepted:
		return withdrawn, payload{}
	case m.sourceKey == nil:
		return stay, m.asStored()
	}
	rows, answered := answers[*m.sourceKey]
	switch {
	case (!answered || firstError(rows) != nil) && m.unanswered > 0:
		return unknown, payload{}
	case !answered || firstError(rows) != nil:
		return stay, m.asStored()
	case len(rows) == 0:
		return unanswered, payload{}
	}
	to, found := m.rowOf(rows)
	switch {
	case !found:
		return removed, payload{}
	case to.url == "":
		return blank, payload{}
	case to.url == m.url && to.secret == m.secret && to.headers == m.headers && m.unanswered == 0:
		return stay, to
	default:
		return move, to
	}
}

// rowOf applies the contract's rule (section 4, "Nothing is sent on old knowledge"): the row of the message's
// delivery_key and URL; else the only one of its delivery_key; else the one with its URL and attendee_id; else the only
// one with its URL. Where several fit, it stays as stored. A row with the URL of another message of the acceptance is
// that one's and fits no other. found is false where the message's endpoint was removed.
func (m *storedMessage) rowOf(rows []payload) (to payload, found bool) {
	deliveryKey := m.deliveryKeyIn(rows)
	sameKey := keep(rows, func(p *payload) bool { return p.deliveryKey == deliveryKey })
	if own := keep(sameKey, m.isHere); len(own) > 0 {
		return own[0], true
	}
	if len(sameKey) == 1 {
		return sameKey[0], m.isFree(&sameKey[0])
	}
	here := keep(rows, m.isHere)
	if mine := keep(here, m.isOfAttendee); len(mine) > 0 {
		here = mine
	}
	free := keep(sameKey, m.isFree)
	switch {
	case len(here) == 1:
		return here[0], true
	case len(here) == 0 && len(free) == 1:
		return free[0], true
	case len(here) > 1, len(free) > 1, len(sameKey) == 0 && len(keep(keep(rows, m.isOfAttendee), m.isFree)) > 0:
		return m.asStored(), true
	default:
		return payload{}, false
	}
}

// deliveryKeyIn returns the delivery_key under which rows have the message: one that was the row's key, as it is by
// default, has changed with it.
func (m *storedMessage) deliveryKeyIn(rows []payload) string {
	same := func(p payload) bool { return p.deliveryKey == m.deliveryKey }
	if m.recordedKey == nil || m.deliveryKey != *m.recordedKey || slices.ContainsFunc(rows, same) {
		return m.deliveryKey
	}
	return *m.sourceKey
}

func (m *storedMessage) isHere(p *payload) bool { return p.url == m.url }

func (m *storedMessage) isFree(p *payload) bool { return !slices.Contains(m.rivals, endpointID(p.url)) }

func (m *storedMessage) isOfAttendee(p *payload) bool { return p.attendeeID == m.attendee }

func keep(rows []payload, is func(*payload) bool) (kept []payload) {
	for i := range rows {
		if is(&rows[i]) {
			kept = append(kept, rows[i])
		}
	}
	return kept
}

// redirections are those of a batch, as the arrays that one statement takes.
type redirections struct {
	ids       []int64
	leases    []*uuid.UUID
	fates     []string
	urls      []string
	endpoints []uuid.UUID
	secrets   []*string
	headers   []*string
}

func (r *redirections) add(row int64, lease *uuid.UUID, fate redirection, to payload) {
	r.ids, r.leases, r.fates = append(r.ids, row), append(r.leases, lease), append(r.fates, string(fate))
	r.urls, r.endpoints = append(r.urls, to.url), append(r.endpoints, endpointID(to.url))
	r.secrets, r.headers = append(r.secrets, optional(to.secret)), append(r.headers, optional(to.headers))
}
