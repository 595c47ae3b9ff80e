package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/pgtap"
	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/postgres"
	"attendee-relay/internal/secret"
)

// answer is what a statement came to.
type answer struct {
	code, text string
	rows       int
}

// answers runs each statement on a session of the program's kind and rolls it back. The planner's settings, which such
// a session pins to Postgres's defaults, are changed in it here: no statement may depend on them.
func answers(t *testing.T, db *pgtest.DB, statements []pgtap.Statement, setting string) map[string]answer {
	t.Helper()
	conn, err := postgres.Direct(t.Context(), secret.New(db.URL()), "matrix")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if planners(setting) {
		if _, err := conn.Exec(t.Context(), "set "+setting); err != nil {
			t.Fatal(err)
		}
	}
	given := map[string]answer{}
	for _, s := range statements {
		given[s.SQL] = answered(t, conn, "begin", s)
	}
	return given
}

// answered runs a statement in a transaction of its own, which begins as begin says.
func answered(t *testing.T, conn *pgx.Conn, begin string, s pgtap.Statement) (a answer) {
	t.Helper()
	control := func(sql string) {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	control(begin)
	defer control("rollback")
	result := conn.PgConn().ExecParams(t.Context(), s.SQL, s.Params, s.Types, s.Formats, nil).Read()
	a.rows, a.code = len(result.Rows), postgres.Code(result.Err)
	if result.Err != nil {
		a.text = result.Err.Error()
	}
	return a
}

// planners reports whether a setting is one of the planner's.
func planners(setting string) bool {
	name, _, _ := strings.Cut(strings.Trim(setting, `"`), " ")
	return strings.HasPrefix(name, "enable_") || strings.HasSuffix(name, "_cost") || strings.HasSuffix(name, "_limit") ||
		strings.Contains(name, "parallel") || strings.Contains(name, "scan_size") || strings.HasPrefix(name, "geqo") ||
		slices.Contains([]string{"plan_cache_mode", "constraint_exclusion", "jit", "jit_above_cost", "work_mem",
			"effective_cache_size"}, name)
}

// moves reports whether the rows of a statement may differ the next time: it counts sessions, or is about the setting
// itself.
func moves(s pgtap.Statement) bool {
	return strings.Contains(s.SQL, "pg_stat_activity") ||
		strings.HasPrefix(s.SQL, "-- For this session: a commit is on disk")
}

var otherSessions = regexp.MustCompile(`others use \d+`)

// steady is what check says, without the number of sessions that there happen to be.
func steady(said string) string { return otherSessions.ReplaceAllString(said, "others use some") }

// excused reports whether a statement may end with this error when it is run out of its place.
func excused(s pgtap.Statement, code string) bool {
	switch code {
	case "22012", "23505": // the fence: another process leads; what the statement adds is there
		return true
	case "22004", "23502": // NULL where the program never has one
		return s.Params == nil || s.Params[0] == nil
	}
	return false
}

// control matches statements that only have a meaning in their place, or an effect that cannot be rolled back:
// transactions, the walsender's commands, definitions, dropping a slot.
var control = regexp.MustCompile(
	`(?is)^\s*(--[^\n]*\n)*\s*(begin|commit|rollback|set |reset |deallocate|create |alter |drop |do |lock |` +
		`identify_system|start_replication|create_replication_slot|create schema|;|-- ping|$)` +
		`|savepoint |pg_drop_replication_slot\(\$1\)|EXPLAIN .*EXECUTE `)

// withUnsent leaves out what only has a meaning in its place, and adds the embedded statements that are missing.
func withUnsent(t *testing.T, sent []pgtap.Statement) (all []pgtap.Statement) {
	t.Helper()
	known := map[string]bool{}
	for _, s := range sent {
		known[headline(s.SQL)] = true
		if !control.MatchString(s.SQL) && strings.Count(strings.TrimRight(s.SQL, "; \n"), ";\n") == 0 {
			all = append(all, s)
		}
	}
	files := embedded(t)
	unsent := 0
	for name, sql := range files {
		if known[headline(sql)] || control.MatchString(sql) {
			continue
		}
		unsent++
		t.Log("not sent by the program here, run with NULL: ", name)
		all = append(all, pgtap.Statement{SQL: spelledOut(sql), Params: make([][]byte, parameters(sql))})
	}
	if sentFiles := len(files) - unsent; sentFiles < len(files)/2 {
		t.Errorf("of %d embedded statements the program sent only %d: the test does not exercise it", len(files), sentFiles)
	}
	return all
}

// embedded returns the statements in the program's SQL files, by file.
func embedded(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, pattern := range []string{"../../replication/*.sql", "../../outbox/sql/*.sql",
		"../../internal/postgres/*.sql"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %v, %v", pattern, names, err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files[filepath.Base(name)] = string(text)
		}
	}
	return files
}

// headline is the first line: each file begins with a comment of its own.
func headline(sql string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(sql), "\n")
	return line
}

// spelledOut puts the reference schema's expressions into a statement with placeholders.
func spelledOut(sql string) string {
	if !strings.Contains(sql, "%[1]s") {
		return sql
	}
	return fmt.Sprintf(sql, "ONLY public.attendees", "pg_catalog.format('%s', id)", "pg_catalog.format('%s', id)",
		"status IS NOT NULL AND pg_catalog.format('%s', status) = ANY ($1::text[])")
}

var parameter = regexp.MustCompile(`\$(\d+)`)

// parameters returns how many parameters a statement has.
func parameters(sql string) (n int) {
	if strings.Contains(sql, "%[4]s") {
		n = 1
	}
	for _, found := range parameter.FindAllStringSubmatch(sql, -1) {
		number, _ := strconv.Atoi(found[1])
		n = max(n, number)
	}
	return n
}

func serverAddress(t *testing.T, db *pgtest.DB) string {
	t.Helper()
	u, err := url.Parse(db.URL())
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}
