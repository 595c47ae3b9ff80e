package config

import (
	"attendee-relay/internal/secret"
)

// SigningSecrets reads DELIVERY_SIGNING_SECRETS alone, for a receiver that runs in the relay's environment but needs
// nothing else of it. Every error it returns is an *Error.
func SigningSecrets(environ []string) ([]secret.String, error) {
	var part struct {
		Secrets []secret.String `env:"DELIVERY_SIGNING_SECRETS"`
	}
	vars := variables(&part)
	env, faults := readEnvironment(environ, vars)
	if faults = append(faults, decode(vars, env)...); len(faults) > 0 {
		return nil, &Error{Faults: faults}
	}
	return part.Secrets, nil
}
