package main

import (
	"io"
	"sync"
	"time"
)

const (
	// sinkLimit is how many bytes of log lines wait for their reader at most.
	sinkLimit = 1 << 20
	// sinkPatience is how long Sync waits for the reader at the end of the process.
	sinkPatience = time.Second
)

// sink receives the log. A pipe that nobody reads blocks its writer, and with it every goroutine that logs under a
// lock; therefore Write only puts a line into a buffer of bounded size, and one goroutine writes from the buffer to the
// pipe. A line that finds no room is dropped and counted, and so is one that could not be written (a full disk, a
// closed pipe); once lines get through again, one of them reports how many are missing. It implements
// zapcore.WriteSyncer.
type sink struct {
	w io.Writer
	// notice is the line that says how many lines are missing.
	notice func(lines int) []byte

	mu      sync.Mutex
	lines   []entry
	bytes   int
	dropped int
	// writing: the goroutine is at work; it ends when there is nothing to write. idle is closed then.
	writing bool
	idle    chan struct{}
}

// entry is a line and how many lines are lost with it: itself, and those that it reports as missing.
type entry struct {
	text   []byte
	stands int
}

func newSink(w io.Writer, notice func(lines int) []byte) *sink { return &sink{w: w, notice: notice} }

// Write takes a copy of one line. It never waits and never fails.
func (s *sink) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bytes+len(line) > sinkLimit {
		s.dropped++
		return len(line), nil
	}
	s.add(append(s.missing(), line...), s.dropped+1)
	if !s.writing {
		s.writing, s.idle = true, make(chan struct{})
		go s.drain()
	}
	return len(line), nil
}

func (s *sink) add(text []byte, stands int) {
	s.bytes += len(text)
	s.lines = append(s.lines, entry{text, stands})
	s.dropped = 0
}

// missing returns the line that says how many are missing before the next one, if any are.
func (s *sink) missing() []byte {
	if s.dropped == 0 {
		return nil
	}
	return s.notice(s.dropped)
}

// Sync waits until all lines are written, for sinkPatience at most: nobody may ever read them.
func (s *sink) Sync() error {
	s.mu.Lock()
	idle, writing := s.idle, s.writing
	s.mu.Unlock()
	if !writing {
		return nil
	}
	timer := time.NewTimer(sinkPatience)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
	}
	return nil
}

// drain writes until nothing is left. A line that was cut off in the middle does not take the next one with it.
func (s *sink) drain() {
	failed, cut := false, false
	for {
		line, more := s.next(failed)
		if !more {
			return
		}
		if cut {
			line.text = append([]byte{'\n'}, line.text...)
		}
		n, err := s.w.Write(line.text)
		failed = err != nil
		cut = failed && (cut || n > 0)
		if failed {
			s.lost(line.stands)
		}
	}
}

// next returns the next line; without one the goroutine ends. Lines missing at the end are reported as well, unless
// nothing can be written.
func (s *sink) next(failed bool) (line entry, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.lines) == 0 && !failed && s.dropped > 0 {
		s.add(s.missing(), s.dropped)
	}
	if len(s.lines) == 0 {
		s.lines, s.writing = nil, false
		close(s.idle)
		return entry{}, false
	}
	line = s.lines[0]
	s.lines[0], s.lines = entry{}, s.lines[1:]
	s.bytes -= len(line.text)
	return line, true
}

func (s *sink) lost(lines int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropped += lines
}
