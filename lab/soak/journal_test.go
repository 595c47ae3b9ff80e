package soak

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// grace is how long after the end of a cause a fault may still be its own: the relay's back-off, and the time until the
// server gives up a session.
const grace = 20 * time.Second

// recording is how long an outcome may take to be recorded on a busy server.
const recording = 5 * time.Second

// cause is an event that affected the relay, its database or a receiver.
type cause struct {
	name         string
	codes        []string // the faults that it may bring about
	repeats      bool     // requests may come a second time
	began, ended time.Time
}

// journal is the log: each cause with its beginning and end, and whatever the watch saw.
type journal struct {
	mu     sync.Mutex
	file   *os.File
	start  time.Time
	causes []*cause
}

func newJournal(t *testing.T, file *os.File) *journal {
	t.Helper()
	return &journal{file: file, start: time.Now()}
}

func (j *journal) line(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.write(format, args...)
}

func (j *journal) write(format string, args ...any) {
	now := time.Now()
	_, _ = fmt.Fprintf(j.file, "%s %8.1f s  %s\n", now.UTC().Format("2006-01-02 15:04:05.000"), now.Sub(j.start).Seconds(),
		fmt.Sprintf(format, args...))
}

func (j *journal) begin(name string, repeats bool, codes ...string) *cause {
	j.mu.Lock()
	defer j.mu.Unlock()
	c := &cause{name: name, codes: codes, repeats: repeats, began: time.Now()}
	j.causes = append(j.causes, c)
	j.write("cause begins: %s", name)
	return c
}

func (j *journal) end(c *cause, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	c.ended = time.Now()
	outcome := ""
	if err != nil {
		outcome = ": " + err.Error()
	}
	j.write("cause ends: %s after %.1f s%s", c.name, c.ended.Sub(c.began).Seconds(), outcome)
}

// explain names the causes that may explain a fault which shows now; "" if there is none.
func (j *journal) explain(code string) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var names []string
	for _, c := range j.causes {
		if c.reached(time.Now(), grace) && slices.Contains(c.codes, code) {
			names = append(names, c.name)
		}
	}
	return strings.Join(names, ", ")
}

// repeats reports whether the outcome of a request answered at that time may have been lost.
func (j *journal) repeats(answered time.Time) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.ContainsFunc(j.causes, func(c *cause) bool {
		return c.repeats && c.began.Before(answered.Add(recording)) && c.reached(answered, recording)
	})
}

// reached reports whether a cause lasted until a time, or had ended less than that duration before.
func (c *cause) reached(at time.Time, after time.Duration) bool {
	return c.ended.IsZero() || c.ended.Add(after).After(at)
}

// count returns how often each cause came.
func (j *journal) count() map[string]int {
	j.mu.Lock()
	defer j.mu.Unlock()
	counts := map[string]int{}
	for _, c := range j.causes {
		name, _, _ := strings.Cut(c.name, ":")
		counts[name]++
	}
	return counts
}
