package outbox

import (
	"strings"
	"testing"
)

// The fault names what changed, from what to what, and nothing else.
func TestChangedSettingsAreNamed(t *testing.T) {
	t.Parallel()
	had := `{"table":"public.attendees","key":"id","status":"status","accepted":["Accepted","VIP"],"repeat":"every"}`
	now := Settings{Table: "public.attendees", Key: "id", Status: "status", Accepted: []string{"Accepted", "VIP"},
		Repeat: "every"}
	if err := (&Recorder{settings: now}).checkSettings([]byte(had)); err != nil {
		t.Errorf("nothing changed: %v", err)
	}
	cases := map[string]struct {
		change func(*Settings)
		want   []string
	}{
		"table": {func(s *Settings) {
			s.Table = "app.people"
		}, []string{`SOURCE_TABLE was "public.attendees" and is "app.people"`}},
		"key":    {func(s *Settings) { s.Key = "uuid" }, []string{`SOURCE_KEY was "id" and is "uuid"`}},
		"status": {func(s *Settings) { s.Status = "state" }, []string{`SOURCE_STATUS was "status" and is "state"`}},
		"accepted": {func(s *Settings) {
			s.Accepted = []string{"Accepted"}
		}, []string{`SOURCE_ACCEPTED was "Accepted,VIP" and is "Accepted"`}},
		"repeat": {func(s *Settings) { s.Repeat = "once" }, []string{`SOURCE_REPEAT was "every" and is "once"`}},
		"two": {func(s *Settings) { s.Key, s.Repeat = "uuid", "once" },
			[]string{`SOURCE_KEY was "id" and is "uuid"`, `SOURCE_REPEAT was "every" and is "once"`,
				"SOURCE_KEY=id, SOURCE_REPEAT=every"}},
	}
	for name, c := range cases {
		changed := now
		c.change(&changed)
		err := (&Recorder{settings: changed}).checkSettings([]byte(had))
		if err == nil {
			t.Errorf("%s: no fault", name)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: it does not say %q: %v", name, want, err)
			}
		}
		if n := strings.Count(err.Error(), " was "); n != strings.Count(strings.Join(c.want, " "), " was ") {
			t.Errorf("%s: it names %d variables: %v", name, n, err)
		}
	}
}
