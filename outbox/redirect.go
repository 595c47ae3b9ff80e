package outbox

import (
	"github.com/google/uuid"
)

// redirection is what the payload query of now says of a message that was written before.
type redirection string

const (
	// stay: it goes where it was to go; move: to another URL, or with another secret or other headers.
	stay redirection = "stay"
	move redirection = "move"
	// blank: its row has no URL any more; removed: its row is gone, though others of its key are there.
	blank   redirection = "blank"
	removed redirection = "removed"
)

// storedMessage is what a message was written with.
type storedMessage struct {
	row                               int64
	sourceKey                         *string
	deliveryKey, url, secret, headers string
}

// redirect applies the contract's rule: the row of the message's delivery_key and URL if there is one, else the only row of its
// delivery_key. Without an answer for its key, or with one that cannot be a message, all stays as it was stored.
func redirect(m *storedMessage, rows map[string][]payload) (redirection, payload) {
	if m == nil || m.sourceKey == nil {
		return stay, payload{}
	}
	all := rows[*m.sourceKey]
	if len(all) == 0 || firstError(all) != nil {
		return stay, payload{}
	}
	var mine []payload
	for _, p := range all {
		if p.deliveryKey != m.deliveryKey {
			continue
		}
		if p.url == m.url {
			mine = []payload{p}
			break
		}
		mine = append(mine, p)
	}
	switch {
	case len(mine) != 1:
		return removed, payload{}
	case mine[0].url == "":
		return blank, payload{}
	case mine[0].url == m.url && mine[0].secret == m.secret && mine[0].headers == m.headers:
		return stay, mine[0]
	default:
		return move, mine[0]
	}
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
