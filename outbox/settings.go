package outbox

import (
	"encoding/json"
	"fmt"
	"strings"

	"attendee-relay/internal/fault"
)

// Settings are the settings that the ledger was made with: with others its rows would mean something else.
type Settings struct {
	Table    string   `json:"table"`
	Key      string   `json:"key"`
	Status   string   `json:"status"`
	Accepted []string `json:"accepted"`
	Repeat   string   `json:"repeat"`
}

// settingChange is one variable whose value is another one now.
type settingChange struct{ variable, was, is string }

// changes lists the variables in which s and the settings of now differ.
func (s Settings) changes(now Settings) (changed []settingChange) {
	for _, c := range []settingChange{
		{"SOURCE_TABLE", s.Table, now.Table},
		{"SOURCE_KEY", s.Key, now.Key},
		{"SOURCE_STATUS", s.Status, now.Status},
		{"SOURCE_ACCEPTED", strings.Join(s.Accepted, ","), strings.Join(now.Accepted, ",")},
		{"SOURCE_REPEAT", s.Repeat, now.Repeat},
	} {
		if c.was != c.is {
			changed = append(changed, c)
		}
	}
	return changed
}

// parseSettings reads the settings that the ledger was made with.
func parseSettings(stored []byte) (Settings, error) {
	var s Settings
	if err := json.Unmarshal(stored, &s); err != nil {
		return s, fmt.Errorf("reading the settings that the ledger was made with: %w", err)
	}
	return s, nil
}

// checkSettings refuses a ledger that was made with other settings.
func (r *Recorder) checkSettings(stored []byte) error {
	had, err := parseSettings(stored)
	if err != nil {
		return err
	}
	changed := had.changes(r.settings)
	if len(changed) == 0 {
		return nil
	}
	var differ, back []string
	for _, c := range changed {
		differ = append(differ, fmt.Sprintf("%s was %q and is %q", c.variable, c.was, c.is))
		back = append(back, fmt.Sprintf("%s=%s", c.variable, c.was))
	}
	return fault.New(fault.SourceChanged, "the ledger of accepted rows belongs to other settings: %s",
		strings.Join(differ, "; ")).
		WithFix("set " + strings.Join(back, ", ") + " again; or take a new baseline: " +
			"attendee-relay adopt --keep-pending --yes (rows that the ledger lacks are marked, with --send-missing announced)")
}
