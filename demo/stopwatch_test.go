package demo

import (
	"strings"
	"testing"
	"time"
)

func TestStopwatchTellsReceiptsApart(t *testing.T) {
	t.Parallel()
	start := time.Now()
	after := func(d time.Duration) time.Time { return start.Add(d * time.Millisecond) }
	s := newStopwatch()
	s.commit("1", start)
	s.commit("1", after(100)) // accepted again
	s.commit("2", after(200))

	for _, c := range []struct {
		id, attendee string
		at           time.Time
		took         time.Duration
		want         receipt
	}{
		{"a", "1", after(5), 5 * time.Millisecond, receiptFirst},
		{"a", "1", after(6), 0, receiptRepeated},
		{"b", "1", after(107), 7 * time.Millisecond, receiptFirst},
		{"c", "1", after(108), 0, receiptUnexpected},
		{"d", "", after(109), 0, receiptUnexpected},
	} {
		if took, got := s.receive(c.id, c.attendee, c.at); took != c.took || got != c.want {
			t.Errorf("receive(%s, %s) = %s, %d, want %s, %d", c.id, c.attendee, took, got, c.took, c.want)
		}
	}
	if s.open() != 1 {
		t.Errorf("%d acceptances are open", s.open())
	}
	total := s.total()
	const want = "Announced 2 of 3 acceptances, 1 webhooks repeated, 2 unexpected; from commit to receipt: " +
		"median 7.0 ms, slowest 7.0 ms."
	if total.String() != want {
		t.Errorf("total: %s", total)
	}
	if err := total.judge(false); err == nil || !strings.Contains(err.Error(), "1 acceptances were not") ||
		!strings.Contains(err.Error(), "2 webhooks came") {
		t.Errorf("judge = %v", err)
	}
	if err := total.judge(true); err == nil || strings.Contains(err.Error(), "not announced") {
		t.Errorf("judge of an interrupted play = %v", err)
	}
}
