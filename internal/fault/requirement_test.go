package fault_test

import (
	"slices"
	"strings"
	"testing"

	"attendee-relay/internal/fault"
)

// "ok slot_missing" would read as the opposite of what it says.
func TestRequirementsAreNoFaults(t *testing.T) {
	t.Parallel()
	wrong := []string{"missing", "lost", "busy", "pending", "exhausted", "changed", "drift", "behind", "newer", "invalid",
		"failing",
		"unreachable", "unsafe", "unlimited", "refused", "unsupported", "unseen", "recovery", "no", "scan"}
	for _, code := range slices.Concat(fault.Codes, fault.CheckCodes) {
		for word := range strings.SplitSeq(code.Requirement(), "_") {
			if slices.Contains(wrong, word) {
				t.Errorf("a passed %s is shown as %q", code, code.Requirement())
			}
		}
	}
	if name := fault.SlotMissing.Requirement(); name != "slot" {
		t.Errorf("slot_missing requires %q", name)
	}
}
