package pgserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	startTimeout = 60 * time.Second
	fastTimeout  = 10 * time.Second
	killTimeout  = 10 * time.Second
	probeEvery   = 20 * time.Millisecond
)

// launch starts the postmaster and waits until it answers.
func (s *Server) launch(ctx context.Context) error {
	log, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening Postgres's log: %w", err)
	}
	defer func() { _ = log.Close() }()

	cmd := exec.CommandContext(context.WithoutCancel(ctx), filepath.Join(s.binaries, "postgres"), "-D", s.DataDir(), "-p",
		strconv.Itoa(s.port))
	s.confine(cmd)
	cmd.Stdout, cmd.Stderr = log, log
	process, err := spawn(cmd)
	if err != nil {
		return fmt.Errorf("starting Postgres: %w", err)
	}
	s.process = process
	if err := s.awaitReady(ctx); err != nil {
		_ = s.end(ctx, syscall.SIGQUIT)
		return fmt.Errorf("starting Postgres: %w; its log ends: %s", err, s.logTail())
	}
	return nil
}

// awaitReady probes the server until it answers a query as ours. There is no signal to wait for: pg_ctl, which would
// poll as well, need not be installed.
func (s *Server) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("not ready within %s", startTimeout))
	defer cancel()
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		err := s.probe(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-s.process.done:
			return fmt.Errorf("it ended while starting: %w", s.process.err)
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

// probe asks the server for its data directory: another server could have taken the port, and must not be used.
func (s *Server) probe(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	var directory string
	if err := conn.QueryRow(ctx, "show data_directory").Scan(&directory); err != nil {
		return err
	}
	if directory != s.DataDir() {
		return fmt.Errorf("port %d belongs to another Postgres", s.port)
	}
	return nil
}

// Stop ends the server and removes its directory. Clients are cut off; when the server does not end in time, or ctx is
// done, it is ended as in a crash. Calling it again does nothing.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.thaw()
	err := s.end(ctx, syscall.SIGINT)
	return errors.Join(err, os.RemoveAll(s.home))
}

// Crash ends the server without a checkpoint and without a word to its clients' transactions: the next start recovers
// from the WAL, as after a power cut. It is pg_ctl's immediate mode; killing only the postmaster would leave its
// backends at work for a while.
func (s *Server) Crash() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.thaw()
	return s.end(context.Background(), syscall.SIGQUIT)
}

// Restart starts a stopped or crashed server again, on the same port and data; a running one is stopped first.
func (s *Server) Restart(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.thaw()
	if err := s.end(ctx, syscall.SIGINT); err != nil {
		return err
	}
	return s.launch(ctx)
}

// end sends the postmaster a signal and waits for it to go, with harder signals when it does not.
func (s *Server) end(ctx context.Context, signal syscall.Signal) error {
	if s.process == nil || s.process.ended() {
		return nil
	}
	steps := []struct {
		signal syscall.Signal
		wait   time.Duration
	}{{signal, fastTimeout}, {syscall.SIGQUIT, killTimeout}, {syscall.SIGKILL, killTimeout}}
	for _, step := range steps {
		_ = s.process.cmd.Process.Signal(step.signal)
		if s.endedWithin(ctx, step.wait) {
			return nil
		}
		ctx = context.Background() // a caller out of patience still gets the server ended, at once by the next signal
	}
	return errors.New("stopping Postgres: it is still there after SIGKILL")
}

func (s *Server) endedWithin(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-s.process.done:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return s.process.ended()
}

func (s *Server) logFile() string { return filepath.Join(s.home, "log") }

// logTail returns the last lines of the server's log, for an error about a start that failed.
func (s *Server) logTail() string {
	const lines = 10
	text, err := os.ReadFile(s.logFile())
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
