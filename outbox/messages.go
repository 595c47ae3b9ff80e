package outbox

import (
	_ "embed"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

var (
	//go:embed sql/messages_add.sql
	messagesAddSQL      string
	messagesAddPlainSQL = plainly(messagesAddSQL)
)

// messages are new messages, as the arrays that one statement takes: of types that pgx encodes without reflection.
type messages struct {
	ids, lsns, deliveryKeys, attendees, events []string
	identities                                 [][]byte // in the database's encoding; all else is UTF-8
	payloads                                   bodies
	keys, times, urls, secrets, headers        pgtype.FlatArray[pgtype.Text]
	endpoints                                  pgtype.FlatArray[pgtype.UUID]
	committed                                  []time.Time
	// bytes is what the bodies take.
	bytes int
	// rendered are the acceptances that add has rendered.
	rendered []acceptance
	// oversize are those whose bodies are too large.
	oversize *oversize
}

// add renders one acceptance. It adds nothing and returns false when the payload query gave no row for its key, or one
// that cannot be a message.
func (m *messages) add(systemID string, a acceptance, rows map[string][]payload) bool {
	if a.key == nil {
		return false
	}
	mine := rows[*a.key]
	if len(mine) == 0 || firstError(mine) != nil {
		return false
	}
	for i := range mine {
		m.append(systemID, a, &mine[i])
	}
	m.rendered = append(m.rendered, a)
	return true
}

// bodiesOf returns how many bytes the bodies of an acceptance's messages take, each counted where several share one.
func bodiesOf(rows map[string][]payload, a acceptance) (bytes int) {
	if a.key == nil {
		return 0
	}
	for i := range rows[*a.key] {
		bytes += len(rows[*a.key][i].body)
	}
	return bytes
}

func firstError(rows []payload) error {
	for i := range rows {
		if rows[i].err != nil {
			return rows[i].err
		}
	}
	return nil
}

func (m *messages) append(systemID string, a acceptance, p *payload) {
	if p.excess > 0 {
		m.addOversize(systemID, a, p)
		return
	}
	m.bytes += len(p.body)
	m.ids = append(m.ids, everyID(systemID, a.lsn, a.stamp, a.identity, p.deliveryKey, p.url))
	m.identities = append(m.identities, []byte(a.identity))
	m.keys = append(m.keys, nullable(&p.key))
	m.lsns = append(m.lsns, a.lsn.String())
	m.times, m.committed = append(m.times, nullable(timeText(a.time))), append(m.committed, a.time)
	m.deliveryKeys = append(m.deliveryKeys, p.deliveryKey)
	m.attendees = append(m.attendees, p.attendeeID)
	m.events = append(m.events, p.eventID)
	m.payloads = append(m.payloads, p.body)
	var endpoint pgtype.UUID
	if p.url != "" {
		endpoint = pgtype.UUID{Bytes: endpointID(p.url), Valid: true}
	}
	m.urls, m.endpoints = append(m.urls, filled(p.url)), append(m.endpoints, endpoint)
	secret, headers := filled(p.secret), filled(p.headers)
	secret.Valid, headers.Valid = secret.Valid && p.url != "", headers.Valid && p.url != ""
	m.secrets, m.headers = append(m.secrets, secret), append(m.headers, headers)
}

// queue adds the statement that writes the messages, either for messages that may exist already or plainly, and leases
// some of them. It returns the ids and numbers of the leased ones.
func (m *messages) queue(q *pgx.Batch, plain bool, leased []string, token uuid.UUID, lease time.Duration,
	deployment string) *pgx.QueuedQuery {
	add := messagesAddSQL
	if plain {
		add = messagesAddPlainSQL
	}
	return q.Queue(add, m.ids, m.identities, m.keys, m.deliveryKeys, m.lsns, m.times, m.attendees, m.events,
		m.endpoints, m.urls, m.secrets, m.payloads, leased, token, interval(lease), deployment, m.headers)
}

// nullable is a text or NULL.
func nullable(text *string) pgtype.Text {
	if text == nil {
		return pgtype.Text{}
	}
	return pgtype.Text{String: *text, Valid: true}
}

// filled is a text, or NULL for an empty one.
func filled(text string) pgtype.Text { return pgtype.Text{String: text, Valid: text != ""} }

func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// timeText is a commit's time for a text parameter; nil: a baseline's acceptance has none.
func timeText(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	text := t.UTC().Format("2006-01-02 15:04:05.999999Z07:00")
	return &text
}
