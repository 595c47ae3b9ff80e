package lab

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// figures are what a run came to.
type figures struct {
	Seed        uint64  `json:"seed"`
	Seconds     float64 `json:"seconds"`
	Relays      int     `json:"relays"`
	Acceptances int     `json:"acceptances"`
	Messages    int     `json:"messages"`
	// Found are the messages of acceptances that were not streamed, but found by comparing ledger and table.
	Found int `json:"found_by_comparison"`
	// Empty are the acceptances whose row was gone before their payload was read.
	Empty int `json:"empty"`
	// Gone and Renumbered count the rows that were deleted or truncated, and those that got another id.
	Gone       int            `json:"rows_gone"`
	Renumbered int            `json:"rows_renumbered"`
	Faults     map[string]int `json:"faults"`
	Lost       int            `json:"lost"`
	Repeated   int            `json:"repeated_rows"`
	Requests   int            `json:"requests"`
	// Unattributed requests are those whose relay could not be found any more: any relay's death explains them.
	Unattributed int            `json:"unattributed_requests"`
	Duplicates   int            `json:"http_duplicates"`
	Explained    map[string]int `json:"explained"`
	Unexplained  int            `json:"unexplained"`
	RSSMiB       int64          `json:"max_rss_mib"`
	// SettledSeconds is how long after the last fault everything was delivered.
	SettledSeconds        float64 `json:"settled_seconds"`
	SlowestRestartSeconds float64 `json:"slowest_restart_seconds"`
}

// print writes a table for people and one line for programs.
func (f figures) print(t *testing.T) {
	t.Helper()
	var text strings.Builder
	row := func(name string, value any) { fmt.Fprintf(&text, "  %-34s %v\n", name, value) }
	row("seed", f.Seed)
	row("relays, seconds of faults", fmt.Sprintf("%d, %.0f", f.Relays, f.Seconds))
	row("acceptances", f.Acceptances)
	row("messages, found by comparison", fmt.Sprintf("%d, %d", f.Messages, f.Found))
	row("rows gone, renumbered; come to naught", fmt.Sprintf("%d, %d, %d", f.Gone, f.Renumbered, f.Empty))
	row("kills of a relay, crashes of Postgres", fmt.Sprintf("%d, %d", f.Faults["kill"], f.Faults["crash"]))
	row("all faults", fmt.Sprintf("%d: %s", total(f.Faults), list(f.Faults)))
	row("lost", f.Lost)
	row("repeated rows", f.Repeated)
	row("requests, of an unknown relay", fmt.Sprintf("%d, %d", f.Requests, f.Unattributed))
	row("HTTP duplicates", strings.TrimSuffix(fmt.Sprintf("%d: %s", f.Duplicates, list(f.Explained)), ": "))
	row("  of them unexplained", f.Unexplained)
	row("most memory of a relay, MiB", f.RSSMiB)
	row("delivered after the last fault, s", fmt.Sprintf("%.1f", f.SettledSeconds))
	row("slowest restart of Postgres, s", fmt.Sprintf("%.1f", f.SlowestRestartSeconds))
	line, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("figures\n%s%s", text.String(), line)
}

func total(counts map[string]int) int {
	sum := 0
	for _, n := range counts {
		sum += n
	}
	return sum
}

func list(counts map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, counts[name]))
	}
	return strings.Join(parts, ", ")
}
