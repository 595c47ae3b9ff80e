package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"attendee-relay/demo"
	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

// chatty is a receiver that answers in characters that hardly any encoding has. It refuses each message once.
type chatty struct {
	*httptest.Server
	mu      sync.Mutex
	refused map[string]bool
	bodies  []string // with their paths
}

func newChatty(t *testing.T) *chatty {
	t.Helper()
	c := &chatty{refused: map[string]bool{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if id := r.Header.Get("webhook-id"); !c.refused[id] {
			c.refused[id] = true
			w.WriteHeader(http.StatusServiceUnavailable)
		} else {
			c.bodies = append(c.bodies, r.URL.Path+" "+string(body))
		}
		_, _ = io.WriteString(w, "zażółć 🎉 \x00\xff")
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *chatty) await(t *testing.T, n int) []string {
	t.Helper()
	var got []string
	pgtest.WaitUntil(t, ready, "the webhooks came", func() (bool, string) {
		c.mu.Lock()
		defer c.mu.Unlock()
		got = slices.Sorted(slices.Values(c.bodies))
		return len(got) >= n, strings.Join(got, "\n")
	})
	return got
}

// The whole relay works on databases that are not UTF-8. Bytes without UTF-8 in a row that is not even accepted stop
// nothing, bodies are UTF-8, a body that cannot be UTF-8 waits alone, and every answer is recorded. A default URL may
// have characters that the database lacks.
func TestRunInOtherEncodings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ encoding, name, odd, want, answer string }{
		{"SQL_ASCII", "5ac3b3c5bc6b61", "81ff", "Zóżka", "zażółć 🎉"},
		{"LATIN1", "4a6fe9", "", "Joé", `za\u017có\u0142\u0107 \U0001f389`},
		{"LATIN2", "bff3b3", "", "żół", `zażółć \U0001f389`},
		{"WIN1252", "80", "81", "€", `za\u017có\u0142\u0107 \U0001f389`},
		{"EUC_JP", "cfa2", "f5a1", "連", `za\u017c\u00f3\u0142\u0107 \U0001f389`},
	} {
		t.Run(c.encoding, func(t *testing.T) {
			t.Parallel()
			receiver := newChatty(t)
			db := pgtest.New(t, pgtest.Encoding(c.encoding))
			db.Exec(t, demo.Schema)
			db.Exec(t, pgtest.Publication("attendee_relay", "public.attendees"))
			db.Exec(t, `alter table attendees add remark text; create function own(h text) returns text language sql as $$
				select convert_from(decode(h, 'hex'), getdatabaseencoding()) $$;
				insert into events (id, name, webhook_url)
				values (1, own('`+c.name+`'), '`+receiver.URL+`/hook'), (2, 'without a URL', null)`)
			if unmet, _ := checked(t, relaytest.Environ(db), statusDone); !slices.Equal(unmet, onlyWALKeep) {
				t.Errorf("not ok: %q", unmet)
			}
			relay := relaytest.Run(t, db, "DELIVERY_DEFAULT_URL="+receiver.URL+"/ż", "DELIVERY_RETRY_SCHEDULE=100ms,100ms,1h")
			relay.AwaitRole(t, ready, "leader")
			person := `insert into attendees (id, event_id, name, surname, status, remark) values `
			db.Exec(t, person+`(1, 1, 'a', own('`+c.name+`'), 'Pending', own('`+c.odd+`'))`)
			db.Exec(t, "update attendees set status = 'Accepted' where id = 1")
			db.Exec(t, person+`(2, 2, 'b', own('`+c.name+`'), 'Accepted', own('`+c.odd+`'))`)
			if c.odd != "" {
				db.Exec(t, person+`(3, 1, 'c', own('`+c.odd+`'), 'Accepted', '')`)
			}
			db.Exec(t, person+`(4, 1, 'd', own('`+c.name+`'), 'Accepted', '')`)
			awaitState(t, db, "delivered", 3)
			if n := pgtest.Value[int](t, db, "select count(*) from attendee_relay.attempt"); n != 6 {
				t.Errorf("%d attempts are recorded", n)
			}
			body := func(path, id, name, event, eventName string) string {
				return path + ` {"type":"attendee_accepted","attendee":{"id":` + id + `,"name":"` + name + `","surname":"` +
					c.want + `","email":null},"fee":null,"event":{"id":` +
					event + `,"name":"` + eventName + `"},"group":null,"form_fields":[],"additional_attendees":[]}`
			}
			want := []string{body("/hook", "1", "a", "1", c.want), body("/hook", "4", "d", "1", c.want),
				body("/ż", "2", "b", "2", "without a URL")}
			if got := receiver.await(t, 3); !slices.Equal(got, want) {
				t.Errorf("received %q\nwant %q", got, want)
			}
			const answers = "select convert(convert_to(response, getdatabaseencoding()), getdatabaseencoding(), 'UTF8') from " +
				"attendee_relay.attempt"
			for _, answer := range pgtest.Values[[]byte](t, db, answers) {
				if string(answer) != c.answer {
					t.Errorf("the answer is recorded as %q, want %q", answer, c.answer)
				}
			}
			waiting := pgtest.Values[string](t, db,
				"select source_key || ' ' || (last_error ~ '22021|22P05') from attendee_relay.acceptance where state = 'waiting'")
			if c.odd != "" && !slices.Equal(waiting, []string{"3 true"}) || c.odd == "" && len(waiting) > 0 {
				t.Errorf("waiting: %q", waiting)
			}
			if state := relay.State(t); !state.Ready {
				t.Errorf("it is not ready: %+v", state)
			}
		})
	}
}

// Postgres converts MULE_INTERNAL to nothing that a body can be made of: check and run say so by name.
func TestMuleInternalIsRefused(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, pgtest.Encoding("MULE_INTERNAL"))
	unmet, findings := checked(t, relaytest.Environ(db), statusFailed)
	if !slices.Equal(unmet, []string{"fail encoding_unsupported"}) ||
		!strings.Contains(findings[0].Message, "MULE_INTERNAL") {
		t.Errorf("check: %q %+v", unmet, findings)
	}
	state := relaytest.Run(t, db).AwaitFault(t, ready, "encoding_unsupported")
	if state.Ready || state.Codes() != "encoding_unsupported" {
		t.Errorf("run: %+v", state)
	}
}
