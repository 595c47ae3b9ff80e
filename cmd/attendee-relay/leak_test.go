package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

// Everything fails at once, at the most verbose log level, and no output shows who registered, where webhooks go, or
// any secret.
func TestNothingSecretIsLogged(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, nil)
	db := pgtest.On(t, server)
	echo := relaytest.NewReceiver(t, func(relaytest.Webhook) int { return http.StatusInternalServerError })
	good := relaytest.NewReceiver(t, nil)
	host := strings.TrimPrefix(good.URL, "http://")
	for _, webhook := range []string{
		good.URL + "/hooks/pathsecret?token=querysecret",
		echo.URL + "/hooks/pathsecret?token=querysecret",
		"http://user:urlpassword@" + host + "/hooks/pathsecret?token=querysecret",
		"http://127.0.0.1:1/hooks/pathsecret?token=querysecret",
		"http://nowhere.invalid/hooks/pathsecret?token=querysecret",
		"http://127.0.0.1:port/hooks/pathsecret?token=querysecret",
		"gopher://127.0.0.1/hooks/pathsecret?token=querysecret",
		"https://" + host + "/hooks/pathsecret?token=querysecret",
		"http://[::1%25querysecret]/",
		"http://127.0.0.1\x7f/pathsecret",
	} {
		relaytest.Accept(t, db, relaytest.AddEvent(t, db, webhook), 1)
	}
	// The payload query fails for the attendees whose name is a number, and quotes their e-mail.
	const failing = `select id as key, id as attendee_id, name, surname, email,
		case when name = '7' then email::numeric end as price,
		null as currency, event_id, 'event' as event_name, e.webhook_url, e.webhook_secret as secret
		from attendees a join lateral (select webhook_url, webhook_secret from events e where e.id = a.event_id) e on true
		where id = any ($1::bigint[])`
	relay := relaytest.Run(t, db, "SOURCE_BASELINE=send", "SOURCE_QUERY="+failing, "DELIVERY_RETRY_SCHEDULE=50ms,50ms",
		"DELIVERY_DEFAULT_URL="+good.URL+"/?token=querysecret", "DELIVERY_SIGNING_SECRETS="+relaytest.Secret,
		"ADMIN_TOKEN=admintoken")
	relay.AwaitRole(t, ready, "leader")
	db.Exec(t, "insert into attendees (event_id, name, surname, email, status) values (1, '7', 'Lovelace', "+
		"'ada@example.org', 'Accepted')")
	awaitWaiting(t, db)

	// A database that is lost, refuses, and comes back.
	relaytest.Accept(t, db, 1, 1)
	restart(t, server)
	relay.AwaitRole(t, ready, "leader")
	wrong := relaytest.Run(t, db, "DATABASE_URL="+strings.Replace(db.URL(), "@", "wrong@", 1))
	refused := wrong.AwaitFault(t, ready, "database_unreachable")
	if why := refused.Faults[0].Message; !strings.Contains(why, "the password is wrong") {
		t.Errorf("a wrong password is not told from a network that is down: %s", why)
	}
	awaitState(t, db, "pending", 0)

	_, metrics := relay.Get(t, "/metrics")
	_, state := relay.Get(t, "/readyz")
	_, other := wrong.Get(t, "/readyz")
	said := relay.Stderr() + wrong.Stderr() + metrics + state + other
	for what, never := range secrets(t, db) {
		if at := strings.Index(said, never); at >= 0 {
			t.Errorf("%s is shown: %s", what, said[max(0, at-300):min(len(said), at+100)])
		}
	}
	for what, sql := range map[string]string{
		"the attempts' errors":    "select coalesce(string_agg(error, ' '), '') from attendee_relay.attempt",
		"the messages' errors":    "select coalesce(string_agg(last_error, ' '), '') from attendee_relay.outbox",
		"the acceptances' errors": "select coalesce(string_agg(last_error, ' '), '') from attendee_relay.acceptance",
	} {
		text := pgtest.Value[string](t, db, sql)
		for whose, never := range secrets(t, db) {
			if strings.Contains(text, never) {
				t.Errorf("%s show %s: %s", what, whose, text)
			}
		}
		if text == "" {
			t.Errorf("%s are empty: nothing was tried", what)
		}
	}
}

// secrets are what nobody may see, by what they are.
func secrets(t *testing.T, db *pgtest.DB) map[string]string {
	t.Helper()
	address, err := url.Parse(db.URL())
	if err != nil {
		t.Fatal(err)
	}
	password, _ := address.User.Password()
	return map[string]string{
		"the database's password": password,
		"the signing secret":      strings.TrimPrefix(relaytest.Secret, "whsec_"),
		"an e-mail address":       "example.org",
		"a surname":               "Lovelace",
		"a URL's path":            "pathsecret",
		"a URL's query":           "querysecret",
		"a URL's password":        "urlpassword",
		"the admin token":         "admintoken",
	}
}

// awaitWaiting waits until an acceptance waits for the payload query.
func awaitWaiting(t *testing.T, db *pgtest.DB) {
	t.Helper()
	pgtest.WaitUntil(t, ready, "an acceptance waits", func() (bool, string) {
		n := pgtest.Value[int64](t, db, "select count(*) from attendee_relay.acceptance where last_error is not null")
		return n == 1, "none"
	})
}
