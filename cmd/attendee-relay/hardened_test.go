package main

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

var ofTheCatalog = regexp.MustCompile(`pg_catalog\.(\w+)`)

// takeable lists the rights of PUBLIC on the objects named $1: views and tables, and functions with their argument
// types.
const takeable = `
	select format('SELECT ON pg_catalog.%I', relname) from pg_class
	 where relnamespace = 'pg_catalog'::regnamespace and relkind in ('r', 'v') and relname = any ($1)
	   and has_table_privilege('public', oid, 'SELECT')
	 union all
	select format('EXECUTE ON FUNCTION pg_catalog.%I(%s)', proname, pg_get_function_identity_arguments(oid)) from pg_proc
	 where pronamespace = 'pg_catalog'::regnamespace and proname = any ($1) and prokind = 'f'
	   and has_function_privilege('public', oid, 'EXECUTE')
	 order by 1`

// setsUp lists the functions by which every session gets our search_path and settings. A role without them has no
// session on which a question would be safe, so check prints a single line then, which names the grant.
var setsUp = []string{"EXECUTE ON FUNCTION pg_catalog.set_config(setting_name text, new_value text, is_local boolean)",
	"EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean)",
	"EXECUTE ON FUNCTION pg_catalog.current_setting(text, boolean)"}

// Hardened servers revoke rights that PUBLIC has by default. Whichever of the rights that our statements may need is
// revoked, before a first start or later, check still has a line for each requirement: where the role may not ask, the
// line names the missing grant, and the printed grants are enough.
func TestCheckOnAHardenedServer(t *testing.T) {
	t.Parallel()
	named := map[string]bool{}
	for _, sql := range embedded(t) {
		for _, found := range ofTheCatalog.FindAllStringSubmatch(sql, -1) {
			named[found[1]] = true
		}
	}
	for _, state := range []string{"before a first start", "after one"} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			event := relaytest.AddEvent(t, db, "http://127.0.0.1:1/")
			relaytest.Accept(t, db, event, 1)
			if state == "after one" {
				relay := relaytest.Run(t, db)
				relay.AwaitRole(t, ready, "leader")
				relay.Signal(t, syscall.SIGTERM)
				relay.Exit(t, ready)
			}
			h := hardened{db: db, full: findingsOf(t, db)}
			rights := pgtest.Values[string](t, db, takeable, slices.Sorted(maps.Keys(named)))
			if len(rights) < 100 {
				t.Fatalf("only %q", rights)
			}
			for _, right := range rights {
				if testing.Short() && !strings.HasPrefix(right, "SELECT") && !slices.Contains(setsUp, right) {
					continue
				}
				h.without(t, right)
			}
			t.Logf("taken one by one: %d rights, of which %d change what check says, of %d lines", len(rights), h.felt,
				len(h.full))
			if h.felt < 15 || h.oneLine == 0 {
				t.Errorf("only %d rights change anything, and %d leave one line", h.felt, h.oneLine)
			}
		})
	}
}

// hardened is a database with the findings of a complete check, and counts how many revoked rights changed them.
type hardened struct {
	db            *pgtest.DB
	full          []fault.Finding
	felt, oneLine int
}

// without revokes a right from PUBLIC, runs check, and grants it again.
func (h *hardened) without(t *testing.T, right string) {
	t.Helper()
	h.db.Exec(t, "revoke "+right+" from public")
	defer h.db.Exec(t, "grant "+right+" to public; revoke "+right+" from "+pgtest.Role)
	findings := findingsOf(t, h.db)
	if slices.Equal(codes(findings), codes(h.full)) {
		return
	}
	h.felt++
	if slices.Contains(setsUp, right) {
		h.oneLine++
		if len(findings) != 1 {
			t.Errorf("without %s: %+v", right, findings)
		}
	} else if missing := lost(h.full, findings); len(missing) > 0 {
		t.Errorf("without %s no line says anything of %q: %+v", right, missing, findings)
	}
	for _, f := range findings {
		if f.Level == fault.OK || slices.Contains(h.full, f) {
			continue
		}
		if !strings.HasPrefix(f.Fix, "GRANT ") {
			t.Errorf("without %s: %+v", right, f)
			continue
		}
		h.db.Exec(t, f.Fix)
	}
	if again := findingsOf(t, h.db); !slices.Equal(codes(again), codes(h.full)) {
		t.Errorf("without %s, with the grants that check prints: %q", right, codes(again))
	}
}

// lost returns the codes that have fewer lines than before.
func lost(full, findings []fault.Finding) (missing []fault.Code) {
	lines := map[fault.Code]int{}
	for _, f := range full {
		lines[f.Code]++
	}
	for _, f := range findings {
		lines[f.Code]--
	}
	for code, n := range lines {
		if n > 0 {
			missing = append(missing, code)
		}
	}
	return missing
}

func codes(findings []fault.Finding) (list []string) {
	for _, f := range findings {
		list = append(list, string(f.Level)+" "+string(f.Code))
	}
	return list
}

// findingsOf runs check --json, whatever its exit status.
func findingsOf(t *testing.T, db *pgtest.DB) (findings []fault.Finding) {
	t.Helper()
	got := invoke(t, relaytest.Environ(db), "check", "--json")
	if err := json.Unmarshal([]byte(got.stdout), &findings); err != nil {
		t.Fatalf("%v: %+v", err, got)
	}
	return findings
}
