package outbox_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"attendee-relay/internal/capturetest"
	"attendee-relay/internal/pgtest"
)

// contractBody is the example of the public contract, section 2.
const contractBody = `{"type":"attendee_accepted",` +
	`"attendee":{"id":123,"name":"John","surname":"Doe","email":"john@doe.com"},` +
	`"fee":{"price":123.45,"currency":"USD"},"event":{"id":234,"name":"Event name"},` +
	`"group":{"id":345,"name":"Group name"},` +
	`"form_fields":[{"id":45,"type":"text","label":"Phone","value":"123 456 789"},` +
	`{"id":46,"type":"text_area","label":"Bio","value":"Text"},` +
	`{"id":47,"type":"select","label":"Food type","value":"vegetarian"},` +
	`{"id":48,"type":"select","label":"Weather","value":null},` +
	`{"id":49,"type":"radio","label":"T-shirt size","value":"L"},` +
	`{"id":50,"type":"check_box","label":"Newsletter","value":true},` +
	`{"id":51,"type":"check_box","label":"Marketing","value":false}],` +
	`"additional_attendees":[{"id":124,"name":"Jane","surname":"Doe"}]}`

const contractRows = `
	insert into events (id, name, webhook_url, webhook_secret) values (234, 'Event name', 'https://example.org/hook', 's');
	insert into groups (id, event_id, name) values (345, 234, 'Group name');
	insert into fees (id, price, currency) values (1, 123.45, 'USD');
	insert into form_fields (id, event_id, type, label) values (45, 234, 'text', 'Phone'), (46, 234, 'text_area', 'Bio'),
		(47, 234, 'select', 'Food type'),
		(48, 234, 'select', 'Weather'), (49, 234, 'radio', 'T-shirt size'), (50, 234, 'check_box', 'Newsletter'), (51, 234,
			'check_box', 'Marketing');
	insert into attendees (id, event_id, group_id, fee_id, name, surname, email) values (123, 234, 345, 1, 'John', 'Doe',
		'john@doe.com');
	insert into attendees (id, event_id, parent_id, name, surname) values (124, 234, 123, 'Jane', 'Doe');
	insert into form_values values (123, 45, '123 456 789'), (123, 46, 'Text'), (123, 47, 'vegetarian'), (123, 49, 'L'),
		(123, 50, 'Yes');`

func TestBodyOfTheContract(t *testing.T) {
	t.Parallel()
	rig := capturetest.New(pgtest.New(t))
	rig.Start(t)
	rig.AwaitLeading(t)
	rig.DB.Exec(t, contractRows)
	rig.DB.Exec(t, "update attendees set status = 'Accepted' where id in (123, 124)")
	rig.CaughtUp(t)
	got := pgtest.Values[string](t, rig.DB, "select payload from attendee_relay.outbox")
	if len(got) != 1 || got[0] != contractBody {
		t.Errorf("bodies:\n%s\nwant:\n%s", strings.Join(got, "\n"), contractBody)
	}
	if row := pgtest.Value[string](t, rig.DB,
		"select format('%s %s %s %s %s %s', state, source_key, delivery_key, attendee_id, event_id, webhook_url) from "+
			"attendee_relay.outbox"); row !=
		"pending 123 123 123 234 https://example.org/hook" {
		t.Errorf("the row is %s", row)
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	rig := capturetest.New(pgtest.New(t))
	rig.Start(t)
	rig.CaughtUp(t)
	rig.DB.Exec(t, "insert into events (id, name, webhook_url) values (1, E'A & B <i>\"quoted\"</i> \\\\ \\n\\t\\u0001 "+
		"é 🎉', 'https://example.org')")
	rig.DB.Exec(t, "insert into fees (id, price, currency) values (1, 100.00, 'EUR'), (2, 0.10, null), (3, 0, 'EUR')")
	cases := []struct{ name, columns, values, want string }{
		{"whole price", "fee_id", "1", `"fee":{"price":100,"currency":"EUR"}`},
		{"fraction, no currency", "fee_id", "2", `"fee":{"price":0.1,"currency":null}`},
		{"free", "fee_id", "3", `"fee":{"price":0,"currency":"EUR"}`},
		{"no fee", "fee_id", "null", `"fee":null,`},
		{"no group", "group_id", "null", `"group":null,"form_fields":[],"additional_attendees":[]}`},
		{"no email", "email", "null", `"email":null}`},
		{"unicode", "email", "'é🎉 名'", `"email":"é🎉 名"}`},
		{"markup and quotes", "email", `'<b>&"\''s'`, `"email":"<b>&\"\\'s"}`},
		{"control characters", "email", `E'\x01\x08\x0c\n\r\t\x1f\x7f'`, `"email":"\u0001\u0008\u000c\n\r\t\u001f` + "\x7f" +
			`"}`},
		{"separators of JavaScript", "email", `E'\u2028'`, "\"email\":\"\u2028\"}"},
	}
	for i, c := range cases {
		rig.DB.Exec(t, "insert into attendees (id, event_id, name, surname, status, "+c.columns+") overriding system value "+
			"values ("+number(i+1)+", 1, 'n', 's', 'Accepted', "+c.values+")")
	}
	rig.CaughtUp(t)
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			body := pgtest.Value[string](t, rig.DB, "select payload from attendee_relay.outbox where source_key = $1",
				number(i+1))
			if !strings.Contains(body, c.want) || !json.Valid([]byte(body)) {
				t.Errorf("%s does not contain %s", body, c.want)
			}
			if want := `"event":{"id":1,"name":"A & B <i>\"quoted\"</i> \\ \n\t\u0001 é 🎉"}`; !strings.Contains(body, want) {
				t.Errorf("%s does not contain %s", body, want)
			}
		})
	}
}

// The same commits read again, with the bookkeeping lost, give the same ids.
func TestMessageIDsOutliveTheBookkeeping(t *testing.T) {
	t.Parallel()
	rig := peopleRig(t, peopleTable)
	second := rig.DB.Name() + "_second"
	rig.Start(t)
	rig.CaughtUp(t)
	rig.DB.Exec(t, "select pg_create_logical_replication_slot($1, 'pgoutput')", second)
	rig.DB.Exec(t, "insert into people select i, 'Accepted' from generate_series(1, 20) as i")
	rig.DB.Exec(t, "insert into people values (21, 'Accepted')")
	rig.CaughtUp(t)
	const messages = "select message_id || ' ' || source_key from attendee_relay.outbox order by message_id"
	before := pgtest.Values[string](t, rig.DB, messages)
	rig.Stop(t)
	// A second slot reads the same commits, for bookkeeping that is otherwise new: its baseline has seen nothing.
	rig.DB.Exec(t, `truncate attendee_relay.message, attendee_relay.pending, attendee_relay.settled, attendee_relay.ledger,
		attendee_relay.acceptance;
		update attendee_relay.checkpoint set lsn = (select confirmed_flush_lsn from pg_replication_slots
			where slot_name = '`+second+`')`)
	rig.Source.Slot = second
	rig.Start(t)
	rig.CaughtUp(t)
	after := pgtest.Values[string](t, rig.DB, messages)
	if len(before) != 21 || !slices.Equal(before, after) {
		t.Errorf("%d messages before, %d after: %q, %q", len(before), len(after), before, after)
	}
}
