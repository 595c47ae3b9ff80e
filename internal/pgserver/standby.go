package pgserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/jackc/pgx/v5"
)

// StandbyOptions says how a standby follows its primary.
type StandbyOptions struct {
	// Name is its application_name, by which the primary's synchronous_standby_names knows it.
	Name string
	// Primary is the host:port by which it reaches the primary; empty: the primary's own.
	Primary string
	// Slot is a physical slot that keeps the standby's WAL on the primary, made if it is missing; empty: none.
	Slot string
	// SyncSlots makes it copy the primary's failover slots (PostgreSQL 17 and later; needs Slot).
	SyncSlots bool
	// Settings are written to postgresql.conf after all others.
	Settings map[string]string
}

// Standby makes a copy of the running server that follows it by streaming replication, and returns when it can be read.
// It uses no program but postgres: pg_basebackup is not there for every version.
func (s *Server) Standby(ctx context.Context, o StandbyOptions) (*Server, error) {
	home, err := makeHome(s.account)
	if err != nil {
		return nil, err
	}
	standby := &Server{home: home, binaries: s.binaries, account: s.account, password: s.password}
	err = standby.follow(ctx, s, o)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("making a standby: %w", err), os.RemoveAll(home))
	}
	return standby, nil
}

func (s *Server) follow(ctx context.Context, primary *Server, o StandbyOptions) error {
	if o.Slot != "" {
		const missing = `select pg_create_physical_replication_slot($1, true) where not exists
			(select from pg_replication_slots where slot_name = $1)`
		if err := primary.execute(ctx, missing, o.Slot); err != nil {
			return err
		}
	}
	if err := s.backup(ctx, primary); err != nil {
		return err
	}
	settings, err := o.settings(primary)
	if err != nil {
		return err
	}
	if err := s.configure(Options{Settings: settings}); err != nil {
		return err
	}
	if err := s.write("standby.signal", nil); err != nil {
		return err
	}
	if s.port, err = freePort(ctx); err != nil {
		return err
	}
	return s.launch(ctx)
}

// settings leads the standby to its primary. dbname is what the copying of slots needs and all else ignores.
func (o StandbyOptions) settings(primary *Server) (map[string]string, error) {
	host, port, err := net.SplitHostPort(cmp.Or(o.Primary, net.JoinHostPort("127.0.0.1", strconv.Itoa(primary.port))))
	if err != nil {
		return nil, err
	}
	merged := map[string]string{
		"primary_conninfo": "host=" + host + " port=" + port + " user=" + superuser + " password=" + primary.password +
			" dbname=postgres sslmode=disable application_name=" + o.Name,
		"primary_slot_name":           o.Slot,
		"hot_standby_feedback":        "on",
		"wal_retrieve_retry_interval": "100ms",
	}
	if o.SyncSlots {
		merged["sync_replication_slots"] = "on"
	}
	maps.Copy(merged, o.Settings)
	return merged, nil
}

// backup copies the primary's files while it runs, between the two calls with which Postgres makes such a copy whole.
// The WAL comes last, so that it reaches beyond the copy's end.
func (s *Server) backup(ctx context.Context, primary *Server) error {
	conn, err := pgx.Connect(ctx, primary.URL("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	start, stop := "select pg_backup_start('standby', true)", "select labelfile from pg_backup_stop(false)"
	if version(ctx, s.binaries) < 15 {
		start, stop = "select pg_start_backup('standby', true, false)", "select labelfile from pg_stop_backup(false, false)"
	}
	if _, err := conn.Exec(ctx, start); err != nil {
		return err
	}
	if err := s.copyFrom(primary, "."); err != nil {
		return err
	}
	var label string
	if err := conn.QueryRow(ctx, stop).Scan(&label); err != nil {
		return err
	}
	if err := s.copyFrom(primary, "pg_wal"); err != nil {
		return err
	}
	return s.write("backup_label", []byte(label))
}

func (s *Server) write(name string, content []byte) error {
	path := filepath.Join(s.DataDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return err
	}
	return s.account.own(path)
}

// Promote makes a standby a primary, on the next timeline, and returns when it takes writes.
func (s *Server) Promote(ctx context.Context) error {
	if err := s.execute(ctx, "select 1 / pg_promote(true, 60)::int"); err != nil {
		return fmt.Errorf("promoting the standby: %w", err)
	}
	return nil
}

// execute runs a statement as the superuser.
func (s *Server) execute(ctx context.Context, sql string, args ...any) error {
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	_, err = conn.Exec(ctx, sql, args...)
	return err
}
