package outbox

import (
	"regexp"
	"slices"
	"strings"
)

var (
	sqlComment = regexp.MustCompile(`(?s)--[^\n]*|/\*.*?\*/`)
	// A name after FROM or JOIN, and not a function's; a name that WITH gives.
	namedTable = regexp.MustCompile(
		`(?i)\b(?:from|join)\s+(?:only\s+|lateral\s+)?` +
			`((?:"[^"]+"|[\pL_][\pL\pN_$]*)(?:\.(?:"[^"]+"|[\pL_][\pL\pN_$]*))?)\s*(\(?)`)
	namedByUs = regexp.MustCompile(
		`(?i)("[^"]+"|[\pL_][\pL\pN_$]*)\s*(?:\([^()]*\)\s*)?as\s+(?:not\s+)?(?:materialized\s+)?\(`)
)

// QueryTables lists the tables that the payload query names, as it writes them, found in its text without a database:
// enough to write grants down, which somebody reads before running them. check asks Postgres instead.
func QueryTables(c Config) ([]string, error) {
	q, err := newQuery(c)
	if err != nil {
		return nil, err
	}
	text := sqlComment.ReplaceAllString(q.sql, " ")
	var own []string
	for _, found := range namedByUs.FindAllStringSubmatch(text, -1) {
		own = append(own, strings.ToLower(found[1]))
	}
	var tables []string
	for _, found := range namedTable.FindAllStringSubmatch(text, -1) {
		name := found[1]
		if found[2] == "" && !slices.Contains(own, strings.ToLower(name)) && !strings.EqualFold(name, "lateral") {
			tables = append(tables, name)
		}
	}
	slices.Sort(tables)
	return slices.Compact(tables), nil
}
