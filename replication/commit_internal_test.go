package replication

import (
	"testing"
	"time"
)

// A commit gets its date from the server that sends it where its own record is not credible; the record's time, on
// which message ids depend, is kept.
func TestDate(t *testing.T) {
	t.Parallel()
	sent := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	now := sent.Add(-3 * time.Minute) // our clock is behind the server's
	cases := map[string]struct {
		stamp  time.Time
		origin bool
		age    time.Duration
	}{
		"here, a minute ago":              {sent.Add(-time.Minute), false, time.Minute},
		"here, just now":                  {sent, false, 0},
		"here, before the clock was set":  {sent.Add(time.Hour), false, 0},
		"another server, ahead":           {sent.Add(2 * time.Hour), true, 0},
		"another server, behind":          {sent.Add(-2 * time.Hour), true, 0},
		"another server, the same minute": {sent.Add(-time.Minute), true, 0},
	}
	for name, c := range cases {
		commit := Commit{Time: c.stamp, origin: c.origin}
		commit.date(sent, now)
		if got := now.Sub(commit.local()); got != c.age {
			t.Errorf("%s: it is %v old by our clock, want %v", name, got, c.age)
		}
		if got := sent.Sub(commit.Time); got != c.age {
			t.Errorf("%s: it is %v old by the server's clock, want %v", name, got, c.age)
		}
		if !commit.Stamped().Equal(c.stamp) {
			t.Errorf("%s: stamped %v, want %v", name, commit.Stamped(), c.stamp)
		}
	}
}
