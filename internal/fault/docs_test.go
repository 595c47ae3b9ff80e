package fault_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"attendee-relay/internal/fault"
)

// Every code has its line in the documentation, and nothing else has one.
func TestEveryCodeIsDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/faults.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []fault.Code
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "| `"); ok {
			code, _, _ := strings.Cut(rest, "`")
			documented = append(documented, fault.Code(code))
		}
	}
	known := slices.Concat(fault.Codes, fault.CheckCodes)
	slices.Sort(documented)
	slices.Sort(known)
	if !slices.Equal(documented, known) {
		t.Errorf("documented are %q,\nknown are %q", documented, known)
	}
}
