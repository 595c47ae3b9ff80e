package delivery

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"attendee-relay/internal/fault"
)

const (
	// firstShortage and lastShortage are the waits between two tries while this process lacks what a connection takes.
	firstShortage = time.Second
	lastShortage  = 30 * time.Second
)

// errShort is what the fault says; which of the kernel's bounds was met makes no difference to who has to act.
var errShort = errors.New("the relay has no free file descriptor (or the kernel no memory) for another connection: " +
	"raise the limit (LimitNOFILE, ulimit -n) or lower DELIVERY_CONCURRENCY; messages wait, and none uses up a retry")

// shortage is a lack of this process's own: no file descriptor for a connection. It says nothing about messages
// and endpoints, so while it lasts only one request at a time is sent, after growing waits, until one opens a
// connection.
type shortage struct {
	task *fault.Task

	mu    sync.Mutex
	lasts bool
	// until is when the next try may begin, wait how long the last wait was; trying: a try is under way.
	until  time.Time
	wait   time.Duration
	trying bool
}

// holds reports whether no request may begin now.
func (s *shortage) holds(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lasts && (s.trying || now.Before(s.until))
}

// begin reports whether a request may begin, and whether it is the one that tries whether the shortage is over.
func (s *shortage) begin(now time.Time) (may, try bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.lasts:
		return true, false
	case s.trying || now.Before(s.until):
		return false, false
	}
	s.trying = true
	return true, true
}

// limit is how many messages are worth claiming: one while the shortage lasts.
func (s *shortage) limit(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lasts {
		return min(n, 1)
	}
	return n
}

// unused notes that there was no message to try with. The shortage is over when there is a free file descriptor.
func (s *shortage) unused(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lasts && !s.trying && !now.Before(s.until) && !descriptorsShort() {
		s.over()
	}
}

func (s *shortage) over() {
	s.lasts, s.wait = false, 0
	s.task.End(nil)
}

// end records how a request ended: because of the shortage, or over a connection that it opened or reused; a reused one
// proves nothing. It reports whether the next request may begin at once.
func (s *shortage) end(now time.Time, short, reused, try bool) (next bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if try {
		s.trying = false
	}
	switch {
	case short && (try || !s.lasts):
		s.wait = min(max(2*s.wait, firstShortage), lastShortage)
		s.lasts, s.until = true, now.Add(s.wait)
		s.task.Fail(errShort)
	case try && reused:
		s.until = now
		return true
	case try:
		s.over()
		return true
	}
	return false
}

// isShort reports whether an error says that this process or its machine lacks what a socket takes.
func isShort(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOBUFS) ||
		errors.Is(err, syscall.ENOMEM)
}

// descriptorsShort tries whether there is a free file descriptor. A name look-up without one may report that there is
// no such host, or that a server does not answer: the resolver could not open a socket, or its own configuration.
func descriptorsShort() bool {
	file, err := os.Open(os.DevNull)
	if err != nil {
		return isShort(err)
	}
	_ = file.Close()
	return false
}
