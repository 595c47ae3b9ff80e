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
	//go:embed sql/elders.sql
	eldersSQL string
	//go:embed sql/give_way.sql
	giveWaySQL string
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
// be sent under their lease: not those that now go elsewhere, which others claim, nor those whose URL was taken away, nor those that
// an older message of the same attendee goes before, because its URL has become theirs. With an error, some are as they were
// stored; all may be sent.
func (q *Queue) Refresh(ctx context.Context, messages []Message) ([]Message, error) {
	if q.lookup == nil || len(messages) == 0 {
		return messages, nil
	}
	elders, err := q.elders(ctx, messages)
	if err != nil {
		return messages, err
	}
	stored, rows, err := q.now(ctx, rowsOf(messages, elders))
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
	yielding := map[int64]bool{}
	for i := range messages {
		m := &messages[i]
		for _, elder := range elders[m.Row] {
			fate, to := redirect(stored[elder], rows)
			if fate != move || endpointID(to.url) != m.Endpoint {
				continue
			}
			yielding[m.Row] = true
			if !changing[elder] {
				changes.add(elder, nil, fate, to)
				changing[elder] = true
			}
		}
	}
	fates, failed := q.redirect(ctx, changes)
	if failed == nil {
		failed = q.giveWay(ctx, messages, yielding)
	}
	if failed != nil {
		err = failed
	}
	var left []Message
	for _, m := range messages {
		// What is to go elsewhere is not sent where it was to go, written down or not; it comes again with the end of its lease.
		if yielding[m.Row] || changing[m.Row] && fates[m.Row] != "secret" {
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

// elders finds the older messages of the same attendees that wait at other endpoints, by the younger message.
func (q *Queue) elders(ctx context.Context, messages []Message) (map[int64][]int64, error) {
	var ids []int64
	for i := range messages {
		if messages[i].Elders {
			ids = append(ids, messages[i].Row)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	elders := map[int64][]int64{}
	_, err := collect(ctx, q.pool, func(row pgx.CollectableRow) (bool, error) {
		var younger, elder int64
		err := row.Scan(&younger, &elder)
		elders[younger] = append(elders[younger], elder)
		return true, err
	}, statement{eldersSQL, []any{ids}})
	if err != nil {
		return nil, fmt.Errorf("reading which messages of the same attendees wait: %w", postgres.Safe(err))
	}
	return elders, nil
}

// rowsOf lists messages and their elders, each once.
func rowsOf(messages []Message, elders map[int64][]int64) []int64 {
	var ids []int64
	for i := range messages {
		ids = append(append(ids, messages[i].Row), elders[messages[i].Row]...)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// giveWay ends the leases of messages that older ones go before.
func (q *Queue) giveWay(ctx context.Context, messages []Message, yielding map[int64]bool) error {
	if len(yielding) == 0 {
		return nil
	}
	var ids []int64
	var endpoints, leases []uuid.UUID
	for i := range messages {
		if m := &messages[i]; yielding[m.Row] {
			ids, endpoints, leases = append(ids, m.Row), append(endpoints, m.Endpoint), append(leases, m.Token)
		}
	}
	_, err := collect(ctx, q.pool, pgx.RowTo[int], statement{giveWaySQL, []any{ids, endpoints, leases}})
	return postgres.Safe(err)
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
