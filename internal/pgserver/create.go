package pgserver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

const superuser = "postgres"

// settings are what every server of ours runs with. synchronous_commit stays on: the walsender sends flushed WAL only,
// and with it off a commit is streamed up to 200 ms late.
var settings = map[string]string{
	"listen_addresses":        "127.0.0.1",
	"unix_socket_directories": "",
	"wal_level":               "logical",
	"max_wal_senders":         "64",
	"max_replication_slots":   "64",
	"max_connections":         "300",
	"shared_buffers":          "64MB",
	"synchronous_commit":      "on",
	"log_timezone":            "UTC",
	"timezone":                "UTC",
}

// fastSettings lose data only when the machine crashes: what a killed server wrote is in the system's page cache.
var fastSettings = map[string]string{"fsync": "off", "full_page_writes": "off"}

// create makes the data directory. The locale C.UTF-8 knows letters beyond ASCII but is not everywhere; C is.
func (s *Server) create(ctx context.Context, o Options) error {
	passwordFile := filepath.Join(s.home, "password")
	if err := os.WriteFile(passwordFile, []byte(s.password), 0o600); err != nil {
		return fmt.Errorf("writing Postgres's password file: %w", err)
	}
	if err := s.account.own(passwordFile); err != nil {
		return err
	}
	var failed error
	for _, locale := range []string{"C.UTF-8", "C"} {
		err := s.initdb(ctx, passwordFile, locale, o.Fast)
		if err == nil {
			return errors.Join(s.configure(o), os.Remove(passwordFile))
		}
		failed = errors.Join(failed, err)
		if err := os.RemoveAll(s.DataDir()); err != nil || ctx.Err() != nil {
			return errors.Join(failed, err)
		}
	}
	return failed
}

func (s *Server) initdb(ctx context.Context, passwordFile, locale string, fast bool) error {
	auth := "scram-sha-256"
	if fast {
		auth = "md5" // a fifth of what a connection costs is SCRAM's 4096 hashes, and tests make thousands of connections
	}
	// As in spawn: this thread's end, for example with another server's, would end initdb.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, filepath.Join(s.binaries, "initdb"),
		"--pgdata="+s.DataDir(), "--username="+superuser, "--pwfile="+passwordFile, "--auth="+auth,
		"--encoding=UTF8", "--locale="+locale, "--no-sync", "--no-instructions")
	cmd.WaitDelay = time.Second // the processes initdb started hold the output open for a moment after a cancellation
	s.confine(cmd)
	output, err := cmd.CombinedOutput()
	switch {
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("running initdb: %w", context.Cause(ctx))
	case s.account != nil && errors.Is(err, syscall.EPERM):
		return fmt.Errorf("running initdb as the user %s: %w; this root lacks the right to become another user: "+
			"run this as an ordinary user", s.account.name, err)
	case err != nil:
		return fmt.Errorf("running initdb with the locale %s: %w: %s", locale, err, strings.TrimSpace(string(output)))
	}
	return nil
}

// confine gives a command of Postgres the unprivileged user, a directory that user may enter, and an environment that
// none of our variables reach: no PG* default of the operator's, messages in English, and a known time zone, without
// which initdb searches for the machine's.
func (s *Server) confine(cmd *exec.Cmd) {
	cmd.Dir = s.home
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.home, "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = attributes()
	cmd.SysProcAttr.Credential = s.account.credential()
}

// configure appends the settings to postgresql.conf, where the last one of a name holds and ALTER SYSTEM still wins.
func (s *Server) configure(o Options) error {
	merged := maps.Clone(settings)
	if o.Fast {
		maps.Copy(merged, fastSettings)
	}
	maps.Copy(merged, o.Settings)

	var text strings.Builder
	text.WriteString("\n")
	for _, name := range slices.Sorted(maps.Keys(merged)) {
		fmt.Fprintf(&text, "%s = '%s'\n", name, strings.ReplaceAll(merged[name], "'", "''"))
	}
	file, err := os.OpenFile(filepath.Join(s.DataDir(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("opening postgresql.conf: %w", err)
	}
	_, err = file.WriteString(text.String())
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("writing postgresql.conf: %w", err)
	}
	return nil
}
