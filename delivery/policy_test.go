package delivery

import (
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"attendee-relay/outbox"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func fixed(v float64) func() float64 { return func() float64 { return v } }

func answer(status int) Exchange {
	x := Exchange{}
	x.Attempt.Status = status
	x.Reason, x.Attempt.Error, x.fate = judge(ending{status: status})
	return x
}

// at is a message that has used up so many steps of its schedule.
func at(step int) *outbox.Message { return &outbox.Message{Step: step, Attempts: step} }

func TestScheduleOfNWaitsMakesOneAttemptMore(t *testing.T) {
	t.Parallel()
	p := policy{schedule: []time.Duration{time.Second, time.Minute, time.Hour}, random: fixed(0.5)}
	for step, want := range []time.Duration{time.Second, time.Minute, time.Hour} {
		o := p.outcome(at(step), answer(500), noon)
		if o.State() != outbox.StatePending || o.Wait() != want {
			t.Errorf("attempt %d: %s after %v, want pending after %v", step+1, o.State(), o.Wait(), want)
		}
	}
	for _, step := range []int{3, 4, 100} {
		if o := p.outcome(at(step), answer(500), noon); o.State() != outbox.StateDead {
			t.Errorf("attempt %d: %s, want dead", step+1, o.State())
		}
		if o := p.outcome(at(step), answer(204), noon); o.State() != outbox.StateDelivered {
			t.Errorf("attempt %d answered 204: %s", step+1, o.State())
		}
	}
}

func TestAnAttemptThatTheRelayCutShortIsNeverTheLast(t *testing.T) {
	t.Parallel()
	p := policy{schedule: []time.Duration{time.Second}, random: fixed(0.5)}
	if o := p.outcome(at(7), failed(errInterrupted, answering(), nil), noon); o.State() != outbox.StatePending ||
		o.Wait() != time.Second {
		t.Errorf("%s after %v", o.State(), o.Wait())
	}
}

func TestAProbeUsesUpNoStepAndWaitsAsLongAsItIsAsked(t *testing.T) {
	t.Parallel()
	p := policy{schedule: []time.Duration{time.Second}, random: fixed(0.5)}
	m := &outbox.Message{Step: 1, Standing: outbox.Standing{Probe: true}}
	x := answer(503)
	x.RetryAfter = "3600"
	if o := p.outcome(m, x, noon); o.State() != outbox.StatePending || o.Wait() != time.Hour {
		t.Errorf("%s after %v", o.State(), o.Wait())
	}
	if o := p.outcome(m, answer(500), noon); o.State() != outbox.StatePending || o.Wait() != 0 {
		t.Errorf("%s after %v", o.State(), o.Wait())
	}
	if o := p.outcome(m, answer(200), noon); o.State() != outbox.StateDelivered {
		t.Errorf("answered: %s", o.State())
	}
}

func TestWaitStaysWithinItsJitter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		step := time.Duration(rapid.Int64Range(1, int64(maxStep)).Draw(t, "step"))
		random := rapid.Float64Range(0, math.Nextafter(1, 0)).Draw(t, "random")
		wait := policy{schedule: []time.Duration{step}, random: fixed(random)}.outcome(at(0), answer(500), noon).Wait()
		if float64(wait) < 0.8*float64(step)-1 || float64(wait) > 1.2*float64(step)+1 {
			t.Fatalf("a step of %v became %v", step, wait)
		}
	})
}

func TestRetryAfterOnlyLengthensTheWait(t *testing.T) {
	t.Parallel()
	const step = time.Minute
	const day = 24 * time.Hour
	p := policy{schedule: []time.Duration{step}, random: fixed(0.5)}
	for header, want := range map[string]time.Duration{
		"":                               step,
		"0":                              step,
		"59":                             step,
		"61":                             61 * time.Second,
		" 90":                            90 * time.Second,
		"00000000000000000000000000120":  2 * time.Minute,
		"86400":                          day,
		"86401":                          day,
		"9223372037":                     day, // times a second overflows a Duration
		"18446744073709551616":           day,
		"99999999999999999999999999999":  day,
		"-1":                             step,
		"-9223372037":                    step,
		"+120":                           step,
		"1.5e3":                          step,
		"120s":                           step,
		"soon":                           step,
		"\x00":                           step,
		"١٢٠":                            step,
		strings.Repeat("9", 60_000):      day,
		"Sun, 01 Mar 2026 12:10:00 GMT":  10 * time.Minute,
		"Sunday, 01-Mar-26 12:10:00 GMT": 10 * time.Minute,
		"Sun Mar  1 12:10:00 2026":       10 * time.Minute,
		"Sun, 01 Mar 2026 12:00:10 GMT":  step,
		"Sat, 28 Feb 2026 12:00:00 GMT":  step,
		"Thu, 01 Jan 1970 00:00:00 GMT":  step,
		"Sat, 01 Jan 0001 00:00:00 GMT":  step,
		"Tue, 03 Mar 2026 12:00:00 GMT":  day,
		"Fri, 31 Dec 9999 23:59:59 GMT":  day,
		"Sun, 31 Feb 2026 12:00:00 GMT":  step,
	} {
		for status, honoured := range map[int]bool{429: true, 503: true, 500: false, 404: false, 302: false} {
			x := answer(status)
			x.RetryAfter = header
			expected := want
			if !honoured {
				expected = step
			}
			if got := p.outcome(at(0), x, noon).Wait(); got != expected {
				t.Errorf("status %d, Retry-After %.40q: %v, want %v", status, header, got, expected)
			}
		}
	}
	x := answer(429)
	x.RetryAfter = "10"
	if o := p.outcome(at(1), x, noon); o.State() != outbox.StateDead {
		t.Errorf("at the schedule's end: %s", o.State())
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"", "120", "-1", "9223372037", "Fri, 31 Dec 9999 23:59:59 GMT"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		if wait := retryAfter(header, noon); wait < 0 || wait > maxRetryAfter {
			t.Errorf("Retry-After %q: %v", header, wait)
		}
	})
}
