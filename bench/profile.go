package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// profileSeconds is how long a CPU profile is taken.
const profileSeconds = 5

// profileAddr is where a relay built with the tag profile shows its profiles.
const profileAddr = "127.0.0.1:6363"

const statementsSQL = `select format('%s calls  %s ms executing  %s ms planning, %s ms the longest of %s  ' ||
		'%s rows  %s bytes of WAL, %s whole pages among them  %s',
		calls, round(total_exec_time::numeric, 1), round(total_plan_time::numeric, 1), round(max_plan_time::numeric, 1),
		plans, rows, wal_bytes, wal_fpi, regexp_replace(query, '\s+', ' ', 'g'))
	from pg_stat_statements
	where dbid = (select oid from pg_database where datname = current_database())
	order by total_exec_time + total_plan_time desc
	limit 40`

// writeStatements writes down what Postgres did in this database, where the command line asks for profiles.
func (d *database) writeStatements(ctx context.Context) error {
	if d.b.options.profile == "" {
		return nil
	}
	rows, err := d.conn.Query(ctx, statementsSQL)
	if err != nil {
		return fmt.Errorf("reading pg_stat_statements: %w", err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("reading pg_stat_statements: %w", err)
	}
	path := filepath.Join(d.b.options.profile, "statements-"+d.name)
	return os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600)
}

// writeBackends writes down the CPU seconds of each of Postgres's processes, where the command line asks for profiles.
func (d *database) writeBackends(ctx context.Context) error {
	if d.b.options.profile == "" {
		return nil
	}
	rows, err := d.conn.Query(ctx,
		"select pid, coalesce(nullif(application_name, ''), backend_type) from pg_stat_activity order by 2")
	if err != nil {
		return fmt.Errorf("reading pg_stat_activity: %w", err)
	}
	var text strings.Builder
	var pid int
	var name string
	_, err = pgx.ForEachRow(rows, []any{&pid, &name}, func() error {
		seconds, err := cpuOf(pid)
		fmt.Fprintf(&text, "%6.2f s  %s\n", seconds, name)
		return err
	})
	path := filepath.Join(d.b.options.profile, "backends-"+d.name)
	return errors.Join(err, os.WriteFile(path, []byte(text.String()), 0o600))
}

// profileRelay begins to write a CPU profile of the relay, where the command line asks for it.
func (b *bench) profileRelay(ctx context.Context, r *relay) {
	if b.options.profile == "" {
		return
	}
	go func() {
		time.Sleep(500 * time.Millisecond) // its start is not what is looked for
		if err := b.fetchProfile(ctx, filepath.Join(b.options.profile, fmt.Sprintf("relay-%d.pprof", r.pid()))); err != nil {
			fmt.Fprintln(os.Stderr, "  no profile:", err)
		}
	}()
}

func (b *bench) fetchProfile(ctx context.Context, path string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet,
		fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", profileAddr, profileSeconds), nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	profile, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	return os.WriteFile(path, profile, 0o600)
}
