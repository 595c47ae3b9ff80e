package pgtest

import (
	"testing"
	"time"
)

// WaitUntil asks check again and again until it says done, and fails the test when that is not within the given time,
// with the last state check reported. It is for conditions in a database that nothing signals; where there is a signal,
// wait for it. It must be called from the test's own goroutine.
func WaitUntil(t testing.TB, within time.Duration, what string, check func() (done bool, state string)) {
	t.Helper()
	const interval = 10 * time.Millisecond
	for deadline := time.Now().Add(within); ; time.Sleep(interval) {
		done, state := check()
		if done {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %s until %s; at the end: %s", within, what, state)
		}
	}
}
