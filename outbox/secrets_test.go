package outbox_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"attendee-relay/internal/fault"
	"attendee-relay/outbox"
)

// A text that is not a secret, or not headers, is found when it is sent: here all of them are stored as the row gave
// them, and differ from a missing one.
func TestSecretsAndHeadersAreKeptAsTheRowGaveThem(t *testing.T) {
	t.Parallel()
	rig := peopleRig(t, `create table people (id int primary key, status text, secret text, headers json)`)
	rig.Outbox.Query = strings.Replace(peopleQuery, "'https", "secret, headers, 'https", 1)
	rig.Start(t)
	rig.AwaitLeading(t)
	rig.DB.Exec(t, `insert into people values (1, 'Accepted', null, null), (2, 'Accepted', '', 'null'),
		(3, 'Accepted', E' \t', '{}'), (4, 'Accepted', E' one\n two ', '{"A": 1}'),
		(5, 'Accepted', 'secret', ('{"A": ' || repeat(' ', 70000) || '"b"}')::json),
		(6, 'Accepted', 'secret', ('{"A":"' || repeat('b', 70000) || '"}')::json)`)
	rig.Settled(t)
	q := outbox.NewQueue(rig.DB.Pool(t), "test", outbox.Breaker{Failures: 10, Probe: time.Minute}, rig.Resolver().Lookup)
	var got []string
	for _, m := range claim(t, q, 100, 8, time.Minute, nil) {
		had := ""
		if m.HadSecret {
			had = " had"
		}
		id := regexp.MustCompile(`"id":(\d)`).FindStringSubmatch(string(m.Payload))[1]
		got = append(got, id+" "+m.Secret.Reveal()+"|"+m.Headers.Reveal()+had)
	}
	slices.Sort(got)
	want := []string{"1 |", "2  | had", "3  |{} had", "4 one\n two|{\"A\": 1} had", `5 secret|{"A":"b"} had`,
		`6 secret|"more than 64 KiB" had`}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestHeadersOfAnotherTypeAreRefused(t *testing.T) {
	t.Parallel()
	rig := peopleRig(t, peopleTable)
	rig.Outbox.Query = strings.Replace(peopleQuery, "'https", "'{}'::text as headers, 'https", 1)
	rig.Start(t)
	rig.DB.Exec(t, "insert into people values (1, 'Accepted', '')")
	if f := rig.AwaitFault(t, fault.QueryInvalid); !strings.Contains(f.Message, "headers must be json or jsonb") {
		t.Error(f.Message)
	}
}
