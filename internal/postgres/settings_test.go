package postgres_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/postgres"
	"attendee-relay/internal/secret"
)

// left are the settings that a role may change and that no statement of ours depends on, by what they are about.
var left = map[string][]string{
	"named by the session itself": {"application_name"},
	"of one transaction":          {"transaction_deferrable", "transaction_isolation", "transaction_read_only"},
	"the replication connection's own": {"wal_sender_timeout", "logical_decoding_work_mem",
		"debug_logical_replication_streaming"},
	"set where it matters":             {"synchronous_commit"},
	"text search, which we do not use": {"default_text_search_config", "gin_pending_list_limit"},
	"memory and input, the server's": {"work_mem", "hash_mem_multiplier", "maintenance_work_mem", "temp_buffers",
		"effective_cache_size", "effective_io_concurrency",
		"maintenance_io_concurrency", "io_combine_limit", "backend_flush_after", "max_parallel_maintenance_workers",
		"max_parallel_workers", "max_parallel_workers_per_gather", "wal_skip_threshold", "commit_siblings",
		"file_copy_method", "synchronize_seqscans"},
	"compiling, which is off": {"jit_above_cost", "jit_inline_above_cost", "jit_optimize_above_cost",
		"jit_expressions", "jit_tuple_deforming"},
	"vacuum and statistics": {"default_statistics_target"},
	"logs, warnings and traces": {"trace_notify", "trace_sort", "debug_pretty_print", "debug_print_parse",
		"debug_print_plan", "debug_print_rewritten", "escape_string_warning", "md5_password_warnings",
		"icu_validation_level"},
	"the network's": {"tcp_keepalives_count", "tcp_keepalives_idle", "tcp_keepalives_interval",
		"tcp_user_timeout", "client_connection_check_interval"},
	"before the session begins": {"local_preload_libraries"},
	"of statements we never send": {"check_function_bodies", "createrole_self_grant", "password_encryption",
		"scram_iterations", "default_toast_compression"},
}

// hostile gives a role another value of every setting that a role may have, as far as that lets it connect at all.
func hostile(t *testing.T, db *pgtest.DB, role string) (changed []string) {
	t.Helper()
	type one struct {
		Name, Vartype, Setting string
		MinVal, MaxVal         *string
		Enumvals               []string
	}
	conn, err := pgx.Connect(t.Context(), db.OwnerURL()) // a DBA, who alone may alter the role
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	rows, err := conn.Query(t.Context(), `SELECT name, vartype, setting, min_val, max_val, enumvals
		FROM pg_catalog.pg_settings
		WHERE context = 'user' AND name NOT IN ('transaction_deferrable', 'transaction_isolation', 'transaction_read_only')
			ORDER BY name`)
	if err != nil {
		t.Fatal(err)
	}
	settings, err := pgx.CollectRows(rows, pgx.RowToStructByPos[one])
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{
		"search_path": "public, pg_catalog", "DateStyle": "German", "TimeZone": "Asia/Kathmandu", "client_encoding": "LATIN1",
		"default_tablespace": "pg_default", "temp_tablespaces": "pg_default", "timezone_abbreviations": "India",
		"restrict_nonsystem_relation_kind": "view, foreign-table", "default_text_search_config": "simple",
	}
	for _, s := range settings {
		value := ""
		switch s.Vartype {
		case "bool":
			value = map[string]string{"on": "off", "off": "on"}[s.Setting]
		case "enum":
			others := slices.DeleteFunc(s.Enumvals, func(v string) bool { return v == s.Setting })
			if len(others) > 0 { // compression has one in a Postgres built without lz4
				value = others[len(others)-1]
			}
		case "integer", "real":
			if value = *s.MaxVal; s.Setting == value {
				value = *s.MinVal
			}
			if strings.HasSuffix(s.Name, "_timeout") {
				value = "1" // a millisecond
			}
			// Behind a pooler nothing can lift a shorter time-out of transactions (TestShortTransactionTimeout has the rest),
			// and the statement that lifts the one of statements is itself subject to it.
			if s.Name == "transaction_timeout" || s.Name == "statement_timeout" {
				value = "1000"
			}
		default:
			value = texts[s.Name]
		}
		if value == "" || strings.HasPrefix(s.Name, "tcp_") || s.Name == "exit_on_error" || s.Name == "idle_session_timeout" {
			continue
		}
		if s.Name == "search_path" {
			value = texts[s.Name] // a list, and not the name of one schema
		} else {
			value = "'" + value + "'"
		}
		if _, err := conn.Exec(t.Context(), "ALTER ROLE "+role+" SET "+s.Name+" = "+value); err != nil {
			t.Fatalf("%s = %s: %v", s.Name, value, err)
		}
		changed = append(changed, s.Name)
	}
	return changed
}

// Every setting that a role may change is pinned, or known not to matter: a new version of Postgres fails here first.
func TestEverySettingIsPinnedOrLeft(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	known := map[string]bool{}
	for _, name := range postgres.Pinned() {
		known[strings.ToLower(name)] = true
	}
	for _, names := range left {
		for _, name := range names {
			known[name] = true
		}
	}
	for _, name := range pgtest.Values[string](t, db,
		"select name from pg_settings where context = 'user' and name not like '%.%' and name not like 'vacuum\\_%'") {
		if !known[strings.ToLower(name)] {
			t.Errorf("%s is neither pinned nor left", name)
		}
	}
}

// shown asks a session of ours for its settings, by name.
func shown(t *testing.T, conn *pgx.Conn) map[string]string {
	t.Helper()
	settings := map[string]string{}
	batch := &pgx.Batch{}
	batch.Queue("SELECT name, setting FROM pg_catalog.pg_settings").Query(func(rows pgx.Rows) error {
		var name, value string
		_, err := pgx.ForEachRow(rows, []any{&name, &value}, func() error { settings[name] = value; return nil })
		return err
	})
	if err := postgres.Transact(t.Context(), conn, batch); err != nil {
		t.Fatal(err)
	}
	return settings
}

// A role with every setting changed that it may change gets the same sessions as one with none, on each of our ways to
// the database.
func TestHostileRoleChangesNoSession(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	role := db.Name()
	db.Exec(t, "create role "+role+" login replication password 'x'")
	t.Cleanup(func() { db.Exec(t, "drop role "+role) })
	plain := ways(t, db.As(t, role, "x"))
	changed := hostile(t, db, role)
	if len(changed) < 90 {
		t.Fatalf("only %d settings were changed: %v", len(changed), changed)
	}
	for name, given := range map[string]string{
		"the role's settings": db.As(t, role, "x"),
		"the URL's too": db.As(t, role, "x") +
			"&timezone=Asia/Tokyo&datestyle=SQL&search_path=public&options=-c%20row_security%3Don%20-csearch_path%3Dpublic",
	} {
		for way, settings := range ways(t, given) {
			for _, pinned := range postgres.Pinned() {
				if want := plain[way][pinned]; settings[pinned] != want {
					t.Errorf("%s, %s: %s is %q, and %q for a role without settings", name, way, pinned, settings[pinned], want)
				}
			}
			if settings["search_path"] != postgres.OwnPath || settings["standard_conforming_strings"] != "on" ||
				settings["row_security"] != "off" {
				t.Errorf("%s, %s: search_path is %q", name, way, settings["search_path"])
			}
		}
	}
}

// ways connects in each way, and returns the settings of each.
func ways(t *testing.T, address string) map[string]map[string]string {
	t.Helper()
	url, found := secret.New(address), map[string]map[string]string{}
	for name, connect := range map[string]func(context.Context, secret.String, string) (*pgx.Conn, error){
		"direct": postgres.Direct, "for the query": postgres.DirectForQuery,
	} {
		conn, err := connect(t.Context(), url, "test")
		if err != nil {
			t.Fatal(err)
		}
		found[name] = shown(t, conn)
		_ = conn.Close(t.Context())
	}
	for name, pooled := range map[string]bool{"pool": false, "shared pool": true} {
		pool, err := postgres.Pool(url, "test", 1, pooled, nil)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		found[name] = shown(t, conn.Conn())
		conn.Release()
		pool.Close()
	}
	walsender, err := postgres.Replication(t.Context(), url, "test", 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = walsender.Close(context.Background()) }()
	results, err := walsender.Exec(t.Context(), "SELECT name, setting FROM pg_catalog.pg_settings").ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	found["walsender"] = map[string]string{}
	for _, row := range results[0].Rows {
		found["walsender"][string(row[0])] = string(row[1])
	}
	return found
}

// A role whose transactions may last a millisecond (Postgres 17) gets its direct sessions all the same.
func TestShortTransactionTimeout(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	if pgtest.Value[int](t, db, "select current_setting('server_version_num')::int") < 170000 {
		t.Skip("Postgres times transactions from 17 on, and this one is older")
	}
	role := db.Name()
	db.Exec(t, "create role "+role+" login replication password 'x'; alter role "+role+" set transaction_timeout = 1")
	t.Cleanup(func() { db.Exec(t, "drop role "+role) })
	conninfo := secret.New(db.As(t, role, "x"))
	for range 3 {
		conn, err := postgres.Direct(t.Context(), conninfo, "test")
		if err != nil {
			t.Fatal(err)
		}
		_, err = conn.Exec(t.Context(), "SELECT pg_catalog.pg_sleep(0.02)")
		if err != nil {
			t.Error(err)
		}
		_ = conn.Close(t.Context())
		walsender, err := postgres.Replication(t.Context(), conninfo, "test", 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		_ = walsender.Close(t.Context())
	}
}
