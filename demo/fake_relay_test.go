package demo_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

func unix(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }

// fakeRelay does with a trigger what the relay does with the WAL: enough to play against.
type fakeRelay struct {
	sends func(n int) int // how often the n-th announcement is sent, 1 by default
}

func (f fakeRelay) run(ctx context.Context, databaseURL, _ string) error {
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	const record = `create table acceptances (n bigint generated always as identity, attendee bigint);
		create function accept() returns trigger language plpgsql as $$ begin
			if new.status = 'Accepted' and new.parent_id is null and (tg_op = 'INSERT' or old.status <> 'Accepted') then
				insert into acceptances (attendee) values (new.id);
			end if;
			return null;
		end $$;
		create trigger accept after insert or update on attendees for each row execute function accept()`
	// A slot cannot be made in a transaction that has written.
	for _, statements := range []string{record, "select pg_create_logical_replication_slot('fake', 'pgoutput')"} {
		if _, err := conn.PgConn().Exec(ctx, statements).ReadAll(); err != nil {
			return err
		}
	}
	for n := int64(0); ctx.Err() == nil; {
		next, err := f.announce(ctx, conn, n)
		if err != nil && ctx.Err() == nil {
			return err
		}
		if next == n {
			time.Sleep(2 * time.Millisecond)
		}
		n = next
	}
	return ctx.Err()
}

// announce sends the acceptances after the n-th and returns the number of the last one.
func (f fakeRelay) announce(ctx context.Context, conn *pgx.Conn, n int64) (int64, error) {
	type row struct {
		N, Attendee       int64
		Name, URL, Secret string
	}
	const query = `select c.n, a.id as attendee, a.name, e.webhook_url as url, e.webhook_secret as secret
		from acceptances c join attendees a on a.id = c.attendee join events e on e.id = a.event_id
		where c.n > $1 order by c.n`
	rows, err := conn.Query(ctx, query, n)
	if err != nil {
		return n, err
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[row])
	for _, r := range found {
		times := 1
		if f.sends != nil {
			times = f.sends(int(r.N))
		}
		for range times {
			body := fmt.Sprintf(`{"type":"attendee_accepted","attendee":{"id":%d,"name":%q}}`, r.Attendee, r.Name)
			if err := post(ctx, r.URL, r.Secret, fmt.Sprintf("msg_%d", r.N), body); err != nil {
				return n, err
			}
		}
		n = r.N
	}
	return n, err
}

func post(ctx context.Context, url, secret, id, body string) error {
	webhook, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return err
	}
	now := time.Now()
	signature, err := webhook.Sign(id, now, []byte(body))
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("webhook-id", id)
	request.Header.Set("webhook-timestamp", unix(now))
	request.Header.Set("webhook-signature", signature)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusNoContent {
		return fmt.Errorf("answered %d", response.StatusCode)
	}
	return nil
}
