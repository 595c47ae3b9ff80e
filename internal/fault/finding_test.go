package fault_test

import (
	"encoding/json"
	"slices"
	"testing"

	"attendee-relay/internal/fault"
)

// Scripts read these names.
func TestFindingAsJSON(t *testing.T) {
	t.Parallel()
	findings := []fault.Finding{
		fault.Passed(fault.WALLevel, "wal_level is %s", "logical"),
		fault.Warning(fault.QueryScan, "CREATE INDEX", "all of %s is read", "it"),
		fault.Failed(fault.New(fault.SlotMissing, "no slot").WithFix("SELECT 1")),
	}
	const want = `[{"code":"wal_level","level":"ok","message":"wal_level is logical","fix":""},` +
		`{"code":"query_scan","level":"warn","message":"all of it is read","fix":"CREATE INDEX"},` +
		`{"code":"slot_missing","level":"fail","message":"no slot","fix":"SELECT 1"}]`
	if got, err := json.Marshal(findings); err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
	if got := fault.Failing(findings); len(got) != 1 || got[0].Code != fault.SlotMissing {
		t.Errorf("failing: %+v", got)
	}
}

func TestCodesAreDifferent(t *testing.T) {
	t.Parallel()
	all := slices.Concat(fault.Codes, fault.CheckCodes)
	slices.Sort(all)
	if n := len(slices.Compact(slices.Clone(all))); n != len(all) {
		t.Errorf("%d codes of %d are different: %q", n, len(all), all)
	}
}
