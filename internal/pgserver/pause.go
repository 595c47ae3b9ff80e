package pgserver

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// Pause freezes the postmaster and all its processes, as a machine that hangs would: connections stay open and nothing
// answers. Continue wakes them.
func (s *Server) Pause(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil || s.process.ended() {
		return errors.New("pausing Postgres: it is not running")
	}
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return fmt.Errorf("pausing Postgres: %w", err)
	}
	postmaster := s.process.cmd.Process.Pid
	s.freeze(postmaster) // first: from here on it starts no process that the list below would miss
	rows, err := conn.Query(ctx, "select pid from pg_stat_activity where pid <> pg_backend_pid()")
	if err == nil {
		var pids []int
		pids, err = pgx.CollectRows(rows, pgx.RowTo[int])
		for _, pid := range pids {
			s.freeze(pid)
		}
	}
	err = errors.Join(err, conn.Close(ctx))
	if err != nil {
		s.thaw()
		return fmt.Errorf("pausing Postgres: %w", err)
	}
	return nil
}

// Continue wakes a paused server.
func (s *Server) Continue() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.thaw()
}

func (s *Server) freeze(pid int) {
	if syscall.Kill(pid, syscall.SIGSTOP) == nil {
		s.frozen = append(s.frozen, pid)
	}
}

func (s *Server) thaw() {
	for _, pid := range s.frozen {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
	s.frozen = nil
}
