package main

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

var ofTheCatalog = regexp.MustCompile(`pg_catalog\.(\w+)`)

// Hardened servers take rights from PUBLIC that everybody has else. Whichever of those that our statements need is
// taken, check looks at all the rest, says in lines of their own what it may not ask, and prints the grants that are
// enough.
func TestCheckOnAHardenedServer(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	named := map[string]bool{}
	for _, sql := range embedded(t) {
		for _, found := range ofTheCatalog.FindAllStringSubmatch(sql, -1) {
			named[found[1]] = true
		}
	}
	const takeable = `
		select format('SELECT ON pg_catalog.%I', relname) from pg_class
		 where relnamespace = 'pg_catalog'::regnamespace and relkind in ('r', 'v') and relname = any ($1)
		   and has_table_privilege('public', oid, 'SELECT')
		 union all
		select format('EXECUTE ON FUNCTION pg_catalog.%I(%s)', min(proname), min(pg_get_function_identity_arguments(oid)))
			from pg_proc
		 where pronamespace = 'pg_catalog'::regnamespace and proname = any ($1) and prokind = 'f'
		 	and has_function_privilege('public', oid, 'EXECUTE')
		   and proname !~ ('^(has_|pg_has_role|format$|text$|set_config|current_setting|convert|int|unnest|array|'
		       || 'to_jsonb|concat|octet|length|now)')
		 group by proname having count(*) = 1
		 order by 1`
	full := codes(t, db)
	rights := pgtest.Values[string](t, db, takeable, slices.Sorted(maps.Keys(named)))
	if testing.Short() {
		rights = slices.DeleteFunc(rights, func(s string) bool { return !strings.HasPrefix(s, "SELECT") })
	}
	t.Logf("taken one by one: %d rights", len(rights))
	if len(rights) < 10 {
		t.Fatalf("only %q", rights)
	}
	for _, right := range rights {
		db.Exec(t, "revoke "+right+" from public")
		findings := findingsOf(t, db)
		var lines []string
		for _, f := range findings {
			lines = append(lines, string(f.Code))
		}
		if missing := len(full) - len(lines); missing > 8 { // a table whose catalog is closed cannot be judged
			t.Errorf("without %s %d lines are missing: %q", right, missing, lines)
		}
		for _, f := range findings {
			if f.Level != fault.OK && f.Code != fault.WALKeepUnlimited {
				if !strings.HasPrefix(f.Fix, "GRANT ") {
					t.Errorf("without %s: %+v", right, f)
					continue
				}
				db.Exec(t, f.Fix)
			}
		}
		if again := codes(t, db); !slices.Equal(again, full) {
			t.Errorf("without %s, with the grants that check prints: %q", right, again)
		}
		db.Exec(t, "grant "+right+" to public; revoke "+right+" from "+pgtest.Role)
	}
}

func codes(t *testing.T, db *pgtest.DB) (list []string) {
	t.Helper()
	for _, f := range findingsOf(t, db) {
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
