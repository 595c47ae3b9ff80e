package config

import "strings"

// Error is everything that is wrong with an environment.
type Error struct {
	// Faults are sentences that begin with the variable's name and say what is accepted; none repeats the text that
	// was set.
	Faults []string
}

// Error implements error, one line a fault.
func (e *Error) Error() string {
	return "the configuration is not usable:\n  " + strings.Join(e.Faults, "\n  ")
}
