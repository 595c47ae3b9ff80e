package demo

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// stopwatch pairs each acceptance with its webhook. The k-th new message about an attendee belongs to the k-th
// acceptance of that attendee: the player leaves time between the two.
type stopwatch struct {
	mu         sync.Mutex
	commits    map[string][]time.Time // by attendee id: the commits whose webhook has not come
	seen       map[string]bool        // webhook ids
	took       []time.Duration
	accepted   int
	repeated   int
	unexpected int
	arrived    chan struct{} // signals that took may have grown
}

func newStopwatch() *stopwatch {
	return &stopwatch{commits: map[string][]time.Time{}, seen: map[string]bool{}, arrived: make(chan struct{}, 1)}
}

// receipt says what a webhook turned out to be.
type receipt int

const (
	receiptFirst      receipt = iota // the announcement of an acceptance
	receiptRepeated                  // another attempt of a message that came before
	receiptUnexpected                // nobody was accepted
)

// commit notes that an acceptance is about to be committed. It is called before COMMIT is sent, since a webhook may be
// there before the answer to COMMIT is; so the time measured includes the commit itself.
func (s *stopwatch) commit(attendee string, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accepted++
	s.commits[attendee] = append(s.commits[attendee], at)
}

// receive notes a webhook and returns the time since its commit.
func (s *stopwatch) receive(messageID, attendee string, at time.Time) (time.Duration, receipt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen[messageID] {
		s.repeated++
		return 0, receiptRepeated
	}
	s.seen[messageID] = true
	open := s.commits[attendee]
	if len(open) == 0 {
		s.unexpected++
		return 0, receiptUnexpected
	}
	s.commits[attendee] = open[1:]
	took := at.Sub(open[0])
	s.took = append(s.took, took)
	select {
	case s.arrived <- struct{}{}:
	default: // a signal is waiting already
	}
	return took, receiptFirst
}

// open returns the number of acceptances whose webhook has not come.
func (s *stopwatch) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accepted - len(s.took)
}

// total sums up what was accepted and what came of it.
type total struct {
	accepted, announced, repeated, unexpected int
	median, slowest                           time.Duration
}

func (s *stopwatch) total() total {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := total{accepted: s.accepted, announced: len(s.took), repeated: s.repeated, unexpected: s.unexpected}
	if sorted := slices.Sorted(slices.Values(s.took)); len(sorted) > 0 {
		t.median, t.slowest = sorted[len(sorted)/2], sorted[len(sorted)-1]
	}
	return t
}

// String sums the play up in one line.
func (t total) String() string {
	milliseconds := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	return fmt.Sprintf("Announced %d of %d acceptances, %d webhooks repeated, %d unexpected; from commit to receipt: "+
		"median %.1f ms, slowest %.1f ms.",
		t.announced, t.accepted, t.repeated, t.unexpected, milliseconds(t.median), milliseconds(t.slowest))
}

// judge returns what is wrong with the total; the webhooks an interruption cut off are not missing.
func (t total) judge(interrupted bool) error {
	var wrong []error
	if missing := t.accepted - t.announced; missing > 0 && !interrupted {
		wrong = append(wrong, fmt.Errorf("%d acceptances were not announced", missing))
	}
	if t.unexpected > 0 {
		wrong = append(wrong, fmt.Errorf("%d webhooks came for no acceptance", t.unexpected))
	}
	return errors.Join(wrong...)
}
