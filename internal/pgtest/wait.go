package pgtest

import (
	"testing"
	"time"
)

// WaitUntil asks check again and again until it says done, and fails the test when that is not within the given time,
// with the last state check reported. It is for conditions in a database that nothing signals; where there is a signal,
// wait for it. It looks ever more rarely, at most a tenth late or a fifth of a second: a test that waits long would
// otherwise take the time of those that work. It must be called from the test's own goroutine.
func WaitUntil(t testing.TB, within time.Duration, what string, check func() (done bool, state string)) {
	t.Helper()
	for began := time.Now(); ; {
		done, state := check()
		if done {
			return
		}
		waited := time.Since(began)
		if waited > within {
			t.Fatalf("waited %s until %s; at the end: %s", within, what, state)
		}
		time.Sleep(min(max(waited/10, 5*time.Millisecond), 200*time.Millisecond))
	}
}
