package admin

import (
	"errors"
	"os"
	"sync"
	"syscall"
)

// spare keeps some file descriptors for accepting connections while the process has no others: an operator who asks why
// nothing is delivered must get an answer.
type spare struct {
	mu    sync.Mutex
	size  int
	files []*os.File
}

func newSpare(size int) *spare {
	s := &spare{size: size}
	s.refill()
	return s
}

// lend frees one descriptor, if there is one. Somebody else may be quicker to take it.
func (s *spare) lend() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.files) == 0 {
		return false
	}
	_ = s.files[0].Close()
	s.files = s.files[1:]
	return true
}

// refill takes back what was lent, as far as there are free descriptors.
func (s *spare) refill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.files) < s.size {
		file, err := os.Open(os.DevNull)
		if err != nil {
			return
		}
		s.files = append(s.files, file)
	}
}

func (s *spare) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, file := range s.files {
		_ = file.Close()
	}
	s.files, s.size = nil, 0
}

// isShort reports whether an error says that there is no free file descriptor, or no memory for another socket.
func isShort(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOBUFS) ||
		errors.Is(err, syscall.ENOMEM)
}
