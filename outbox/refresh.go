package outbox

import (
	"context"
	_ "embed"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/postgres"
	"attendee-relay/internal/secret"
)

var (
	//go:embed sql/stored_read.sql
	storedReadSQL string
	//go:embed sql/lease_lock.sql
	leaseLockSQL string
	//go:embed sql/redirect.sql
	redirectSQL string
)

// Refresh asks the payload query where leased messages go now, with which secret they are signed and which headers they
// have. It returns those to be sent under their lease. It leaves out those that now go elsewhere, which others claim;
// those whose URL or endpoint was taken away; those that have no row or are about somebody who is no longer accepted;
// and those behind an older message of the same attendee whose URL has become theirs. With an error, the returned
// messages may all be sent, some as they were stored; a message is left out if it is not known which ones go before it.
func (q *Queue) Refresh(ctx context.Context, messages []Message) ([]Message, error) {
	if q.lookup == nil || len(messages) == 0 {
		return messages, nil
	}
	elders, err := q.elders(ctx, messages)
	if err != nil {
		return withoutElders(messages), err
	}
	asking, sure := messages[:0:0], messages[:0:0]
	for _, m := range messages {
		if m.mayHaveMoved() || len(elders[m.Row]) > 0 {
			asking = append(asking, m)
		} else {
			sure = append(sure, m)
		}
	}
	if len(asking) == 0 {
		return sure, nil
	}
	left, err := q.refresh(ctx, asking, elders)
	return append(sure, left...), err
}

// refresh is Refresh for messages that may go elsewhere, or have elders that may.
func (q *Queue) refresh(ctx context.Context, messages []Message, elders map[int64][]elder) ([]Message, error) {
	stored, rows, err := q.now(ctx, rowsOf(messages, elders))
	if stored == nil {
		return withoutElders(messages), err
	}
	p := planRefresh(messages, elders, stored, rows)
	// First these, for an elder that comes to their endpoint waits for what is in flight there.
	failed := q.giveWay(ctx, messages, p.yielding)
	if failed != nil {
		err = failed
	}
	fates, failed := q.redirect(ctx, &p.changes)
	if failed != nil {
		err = failed
	}
	return p.left(messages, fates), err
}

// withoutElders are those that nothing goes before.
func withoutElders(messages []Message) []Message {
	return slices.DeleteFunc(slices.Clone(messages), func(m Message) bool { return m.Elders })
}

// refreshPlan is what to do with a batch: what changes for which messages, and which give way to older ones.
type refreshPlan struct {
	stored   map[int64]*storedMessage
	rows     map[string][]payload
	changes  redirections
	changing map[int64]bool
	yielding map[int64]bool
}

func planRefresh(messages []Message, elders map[int64][]elder, stored map[int64]*storedMessage,
	rows map[string][]payload) *refreshPlan {
	p := &refreshPlan{stored: stored, rows: rows, changing: map[int64]bool{}, yielding: map[int64]bool{}}
	for i := range messages {
		m := &messages[i]
		p.change(m.Row, &m.Token)
	}
	for i := range messages {
		m := &messages[i]
		for _, e := range elders[m.Row] {
			fate, to := redirect(stored[e.row], rows)
			switch {
			case e.here:
				p.yielding[m.Row] = true
			case fate == move && endpointID(to.url) == m.Endpoint:
				p.yielding[m.Row] = true
				p.change(e.row, nil)
			}
		}
	}
	return p
}

// change notes what to write about a message, once.
func (p *refreshPlan) change(row int64, lease *uuid.UUID) {
	if fate, to := redirect(p.stored[row], p.rows); fate != stay && !p.changing[row] {
		p.changes.add(row, lease, fate, to)
		p.changing[row] = true
	}
}

// left returns the messages to be sent, with their present secrets. A message that is to go elsewhere is not sent to
// its old URL, whether the move was written or not; it comes again with the end of its lease.
func (p *refreshPlan) left(messages []Message, fates map[int64]string) []Message {
	var left []Message
	for _, m := range messages {
		if p.yielding[m.Row] || p.changing[m.Row] && fates[m.Row] != "secret" {
			continue
		}
		if s := p.stored[m.Row]; s != nil {
			if _, to := redirect(s, p.rows); to.url == s.url {
				m.Secret, m.Headers = secret.New(to.secret), secret.New(to.headers)
			}
		}
		left = append(left, m)
	}
	return left
}

// now reads what messages were written with and what the payload query says of their keys.
func (q *Queue) now(ctx context.Context, ids []int64) (map[int64]*storedMessage, map[string][]payload, error) {
	list, err := readStored(ctx, q.pool, ids)
	if err != nil {
		return nil, nil, fmt.Errorf("reading messages to be tried again: %w", postgres.Safe(err))
	}
	stored := make(map[int64]*storedMessage, len(list))
	var keys []string
	for _, m := range list {
		stored[m.row] = m
		if m.sourceKey != nil && !slices.Contains(keys, *m.sourceKey) {
			keys = append(keys, *m.sourceKey)
		}
	}
	rows, err := q.lookup(ctx, keys)
	if err != nil {
		err = fmt.Errorf("asking the payload query for the URLs of messages to be tried again: %s", failure(err))
	}
	return stored, rows, err
}

func readStored(ctx context.Context, pool Pool, ids []int64) ([]*storedMessage, error) {
	return collect(ctx, pool, func(row pgx.CollectableRow) (*storedMessage, error) {
		m := &storedMessage{}
		return m, row.Scan(&m.row, &m.recordedKey, &m.sourceKey, &m.deliveryKey, &m.url, &m.secret, &m.headers, &m.attendee,
			&m.accepted, &m.unanswered, &m.rivals)
	}, statement{storedReadSQL, []any{ids}})
}

// redirect writes changes down and returns what became of each message that was still under its lease.
func (q *Queue) redirect(ctx context.Context, changes *redirections) (map[int64]string, error) {
	if len(changes.ids) == 0 {
		return nil, nil
	}
	fates := map[int64]string{}
	var ended []func()
	_, err := collect(ctx, q.pool, func(row pgx.CollectableRow) (bool, error) {
		var id int64
		var fate, messageID string
		var endpoint uuid.UUID
		err := row.Scan(&id, &fate, &messageID, &endpoint)
		fates[id] = fate
		if reason, ends := endings[fate]; ends {
			ended = append(ended, func() { q.unsent.note(reason, messageID, endpoint) })
		}
		return true, err
	}, statement{leaseLockSQL, []any{changes.ids, changes.leases}},
		statement{redirectSQL, []any{changes.ids, changes.leases, changes.fates, changes.urls, changes.endpoints,
			changes.secrets, changes.headers, q.schedule}})
	if err != nil {
		q.suspect(err)
		return nil, fmt.Errorf("writing down where %d messages go now: %w", len(changes.ids), postgres.Safe(err))
	}
	for _, tell := range ended { // only now: the transaction has committed
		tell()
	}
	return fates, nil
}
