package config

import (
	"os"
	"strings"
	"testing"
)

// The README's table and the structs are the same list: what an operator reads is what the program does.
func TestEveryVariableStandsInTheREADMEWithItsDefault(t *testing.T) {
	t.Parallel()
	documented := readmeVariables(t)
	seen := map[string]bool{}
	for _, v := range variables(new(Config)) {
		if seen[v.name] {
			t.Errorf("%s is declared twice", v.name)
		}
		seen[v.name] = true
		fallback, ok := documented[v.name]
		if !ok {
			t.Errorf("%s has no row in the README", v.name)
			continue
		}
		want := ""
		switch {
		case v.required:
			want = "required"
		case v.fallback != "":
			want = "`" + strings.TrimPrefix(v.fallback, "$") + "`"
		}
		if fallback != want {
			t.Errorf("%s: the README says its default is %q, the code %q", v.name, fallback, want)
		}
	}
	for name := range documented {
		if !seen[name] {
			t.Errorf("the README has a row for %s, which the code does not read", name)
		}
	}
}

func TestEveryDefaultIsUnderstood(t *testing.T) {
	t.Parallel()
	for _, v := range variables(new(Config)) {
		if v.required {
			continue
		}
		if err := v.decodeFrom(new(environment)); err != nil {
			t.Errorf("%s: the default is at fault: %v", v.name, err)
		}
		if fault := v.check(v.fallback); v.fallback != "" && fault != "" {
			t.Errorf("%s: the default is at fault: %s", v.name, fault)
		}
	}
}

// readmeVariables returns the default cell of each row between the README's markers.
func readmeVariables(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, opened := strings.Cut(string(text), "<!-- variables -->")
	table, _, closed := strings.Cut(rest, "<!-- /variables -->")
	if !opened || !closed {
		t.Fatal("the README has no section between <!-- variables --> and <!-- /variables -->")
	}
	rows := map[string]string{}
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) < 5 || !strings.Contains(cells[1], "`") {
			continue
		}
		name := strings.Trim(cells[1], " `")
		if _, again := rows[name]; again {
			t.Errorf("the README has two rows for %s", name)
		}
		if strings.TrimSpace(cells[3]) == "" {
			t.Errorf("the README does not say what %s means", name)
		}
		rows[name] = strings.TrimSpace(cells[2])
	}
	return rows
}
