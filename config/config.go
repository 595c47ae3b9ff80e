// Package config turns the process's environment into the configuration of every stage.
//
// Its promise: either the whole environment is understood and every stage's settings are valid, or Load returns one
// Error that names everything that is wrong, so that an operator fixes it in one round; and no text that was set is
// ever part of that error, because a password put into the wrong variable must not reach a log. Each package owns its
// Config struct; this one composes them. Only cmd calls it, and nothing else imports it.
package config

import (
	"time"

	"attendee-relay/admin"
	"attendee-relay/delivery"
	"attendee-relay/internal/secret"
	"attendee-relay/outbox"
	"attendee-relay/replication"
)

// Config is everything an operator can set; the names of the variables are fixed by the public contract, section 5.
type Config struct {
	Database Database
	// Deployment tells this deployment's bookkeeping from that of a copy of its database.
	Deployment  string `env:"DEPLOYMENT, default=default"`
	Replication replication.Config
	Outbox      outbox.Config
	Delivery    delivery.Config
	Admin       admin.Config
	// ShutdownTimeout is how long work in flight may take to finish once the process was told to stop.
	ShutdownTimeout time.Duration `env:"SHUTDOWN_TIMEOUT, default=30s"`
	Log             Log
}

// Database says how the registration database is reached.
type Database struct {
	// URL reaches the database for SQL; it may lead through a pooler.
	URL secret.String `env:"DATABASE_URL, required"`
	// ReplicationURL reaches it directly: a pooler passes neither replication nor session state on.
	ReplicationURL secret.String `env:"DATABASE_REPLICATION_URL, default=$DATABASE_URL"`
	// MaxConns bounds the pool.
	MaxConns int `env:"DATABASE_MAX_CONNS, default=8"`
}

// Pooled reports whether URL may lead through a pooler, because there is another way for what must not.
func (d Database) Pooled() bool { return !d.ReplicationURL.Equal(d.URL) }

// Log says how much is logged and in which form.
type Log struct {
	// Level is debug, info, warn or error.
	Level string `env:"LOG_LEVEL, default=info"`
	// Format is json, or console for people.
	Format string `env:"LOG_FORMAT, default=json"`
}

// Load reads the configuration from environ, which has the form of os.Environ. Every error it returns is an *Error.
func Load(environ []string) (*Config, error) {
	config := new(Config)
	vars := variables(config)
	env, faults := readEnvironment(environ, vars)
	faults = append(faults, decode(vars, env)...)
	nameSecrets(vars, env)
	faults = append(faults, validate(config)...)
	faults = append(faults, unknownNames(env, vars)...)
	if len(faults) > 0 {
		return nil, &Error{Faults: faults}
	}
	return config, nil
}
