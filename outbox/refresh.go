package outbox

import (
	"context"
	_ "embed"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"attendee-relay/internal/postgres"
	"attendee-relay/internal/secret"
)

var (
	//go:embed sql/stored_read.sql
	storedReadSQL string
	//go:embed sql/redirect.sql
	redirectSQL string
	//go:embed sql/look.sql
	lookSQL string
	//go:embed sql/look_again.sql
	lookAgainSQL string
)

// lookBatch is how many messages of an endpoint that gets nothing are looked at in one turn.
const lookBatch = 100

// Refresh asks the payload query where leased messages go now, and with which secret they are signed. It returns those that are to
// be sent under their lease: not those that now go elsewhere, which others claim, nor those whose URL was taken away. With an
// error, some are as they were stored; all may be sent.
func (q *Queue) Refresh(ctx context.Context, messages []Message) ([]Message, error) {
	if q.lookup == nil || len(messages) == 0 {
		return messages, nil
	}
	ids := make([]int64, len(messages))
	for i := range messages {
		ids[i] = messages[i].Row
	}
	stored, rows, err := q.now(ctx, ids)
	if stored == nil {
		return messages, err
	}
	changes := &redirections{}
	changing := map[int64]bool{}
	for i := range messages {
		m := &messages[i]
		if fate, to := redirect(stored[m.Row], rows); fate != stay {
			changes.add(m.Row, &m.Token, fate, to)
			changing[m.Row] = true
		}
	}
	fates, failed := q.redirect(ctx, changes)
	if failed != nil {
		err = failed
	}
	var left []Message
	for _, m := range messages {
		// What is to go elsewhere is not sent where it was to go, written down or not; it comes again with the end of its lease.
		if changing[m.Row] && fates[m.Row] != "secret" {
			continue
		}
		if s := stored[m.Row]; s != nil {
			if _, to := redirect(s, rows); to.url == s.url {
				m.Secret, m.FormerSecret = secret.New(to.secret), secret.New(s.secret)
			}
		}
		left = append(left, m)
	}
	return left, err
}

// Look asks the payload query for some messages of an endpoint that is paused or disabled, and moves those that go elsewhere now. It
// does so for one endpoint whose turn it is, and reports whether there was one.
func (q *Queue) Look(ctx context.Context) (bool, error) {
	if q.lookup == nil {
		return false, nil
	}
	var endpoint uuid.UUID
	picked, err := collect(ctx, q.pool, func(row pgx.CollectableRow) (ids []int64, err error) {
		return ids, row.Scan(&endpoint, &ids)
	}, statement{lookSQL, []any{lookBatch, interval(q.breaker.Probe), q.deployment}})
	if err != nil || len(picked) == 0 || len(picked[0]) == 0 {
		if noOutbox(err) {
			err = nil
		}
		return false, postgres.Safe(err)
	}
	stored, rows, err := q.now(ctx, picked[0])
	changes := &redirections{}
	for row, s := range stored {
		if fate, to := redirect(s, rows); fate != stay {
			changes.add(row, nil, fate, to)
		}
	}
	fates, failed := q.redirect(ctx, changes)
	if failed != nil {
		return true, failed
	}
	for _, fate := range fates {
		if fate != "secret" {
			_, failed := collect(ctx, q.pool, pgx.RowTo[int], statement{lookAgainSQL, []any{endpoint}})
			return true, postgres.Safe(failed)
		}
	}
	return true, err
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

func readStored(ctx context.Context, pool *pgxpool.Pool, ids []int64) ([]*storedMessage, error) {
	return collect(ctx, pool, func(row pgx.CollectableRow) (*storedMessage, error) {
		m := &storedMessage{}
		return m, row.Scan(&m.row, &m.sourceKey, &m.deliveryKey, &m.url, &m.secret)
	}, statement{storedReadSQL, []any{ids}})
}

// redirect writes changes down and returns what became of each message that was still under its lease.
func (q *Queue) redirect(ctx context.Context, changes *redirections) (map[int64]string, error) {
	if len(changes.ids) == 0 {
		return nil, nil
	}
	fates := map[int64]string{}
	_, err := collect(ctx, q.pool, func(row pgx.CollectableRow) (bool, error) {
		var id int64
		var fate string
		err := row.Scan(&id, &fate)
		fates[id] = fate
		return true, err
	}, statement{redirectSQL, []any{changes.ids, changes.leases, changes.fates, changes.urls, changes.endpoints, changes.secrets}})
	if err != nil {
		q.suspect(err)
		return nil, fmt.Errorf("writing down where %d messages go now: %w", len(changes.ids), postgres.Safe(err))
	}
	return fates, nil
}
