package relaytest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// PeakMemory returns the peak resident memory of the process, which still runs, in bytes. It skips the test where the
// system does not report it (there is no /proc).
func (p *Process) PeakMemory(t *testing.T) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Skipf("the system does not say how much memory a process has: %v", err)
	}
	for line := range strings.Lines(string(status)) {
		if value, found := strings.CutPrefix(line, "VmHWM:"); found {
			kilobytes, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			if err != nil {
				t.Fatalf("reading %q: %v", line, err)
			}
			return kilobytes << 10
		}
	}
	t.Skip("the system does not say what the process's memory was at its peak")
	return 0
}
