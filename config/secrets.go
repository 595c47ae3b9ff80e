package config

import (
	"fmt"
	"strings"

	"attendee-relay/internal/secret"
)

// nameSecrets tells each secret which variable it is from and, where that names a file, how to read it again. One that
// takes another variable's value by default ($NAME) is from that one.
func nameSecrets(vars []variable, env *environment) {
	for _, v := range vars {
		held, isSecret := v.value.Addr().Interface().(*secret.String)
		if !isSecret || held.IsZero() {
			continue
		}
		name := v.name
		if other, isOther := strings.CutPrefix(v.fallback, "$"); isOther && env.values[name] == "" {
			name = other
		}
		*held = held.From(name, env.rereader(name))
	}
}

// rereader returns what reads a variable's file again; nil: it has none.
func (e *environment) rereader(name string) func() (string, error) {
	path, fromFile := e.paths[name]
	if !fromFile {
		return nil
	}
	return func() (string, error) {
		text, err := readFile(path)
		if err != nil {
			return "", fmt.Errorf("%s names a file that cannot be used: %w", name+fileSuffix, err)
		}
		return text, nil
	}
}
