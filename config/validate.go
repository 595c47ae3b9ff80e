package config

import (
	"fmt"
	"regexp"
	"time"

	"attendee-relay/internal/postgres"
	"attendee-relay/internal/secret"
)

// minConns is how many connections the stages need at the same time at least: five for capture (writer, reader,
// resolver, one for keys that failed before, and one that sets up and watches), and one for deliveries.
const minConns = 6

// maxShutdown bounds SHUTDOWN_TIMEOUT: what stops for longer than this is a process that hangs.
const maxShutdown = time.Hour

var deploymentPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// validate collects what every part says about its own settings, then what does not fit together.
func validate(c *Config) (faults []string) {
	for _, part := range []any{c, c.Database, c.Replication, c.Outbox, c.Delivery, c.Admin, c.Log} {
		checked, ok := part.(interface{ Validate() []error })
		if !ok {
			continue
		}
		for _, err := range checked.Validate() {
			faults = append(faults, err.Error())
		}
	}
	return faults
}

// Validate reports what is wrong with the settings that belong to no stage, and between stages.
func (c *Config) Validate() (faults []error) {
	if !deploymentPattern.MatchString(c.Deployment) {
		faults = append(faults, fmt.Errorf("DEPLOYMENT: it must be a name of 1 to 63 letters, digits, '.', '_' and '-' "+
			"that begins with a letter or digit"))
	}
	if c.ShutdownTimeout <= 0 || c.ShutdownTimeout > maxShutdown {
		faults = append(faults, fmt.Errorf("SHUTDOWN_TIMEOUT: it must be more than 0s and at most 1h"))
	}
	if c.Outbox.DefaultURL != "" {
		if err := c.Delivery.CheckURL(c.Outbox.DefaultURL); err != nil {
			faults = append(faults, fmt.Errorf("DELIVERY_DEFAULT_URL: every message to it would be %w", err))
		}
	}
	return faults
}

// Validate reports what is wrong with the way to the database.
func (d Database) Validate() (faults []error) {
	if d.MaxConns < minConns {
		faults = append(faults, fmt.Errorf("DATABASE_MAX_CONNS: it must be at least %d", minConns))
	}
	faults = append(faults, checkConnection("DATABASE_URL", d.URL)...)
	if d.Pooled() {
		faults = append(faults, checkConnection("DATABASE_REPLICATION_URL", d.ReplicationURL)...)
	}
	return faults
}

// checkConnection reports a connection string that cannot be used. The errors hold no part of it.
func checkConnection(name string, conninfo secret.String) (faults []error) {
	if conninfo.IsZero() {
		return nil // reported as missing
	}
	for _, fault := range postgres.Check(conninfo.Reveal()) {
		faults = append(faults, fmt.Errorf("%s: %s", name, fault))
	}
	return faults
}

// Validate reports what is wrong with the log's settings.
func (l Log) Validate() (faults []error) {
	switch l.Level {
	case "debug", "info", "warn", "error":
	default:
		faults = append(faults, fmt.Errorf("LOG_LEVEL: it must be debug, info, warn or error"))
	}
	if l.Format != "json" && l.Format != "console" {
		faults = append(faults, fmt.Errorf("LOG_FORMAT: it must be json or console"))
	}
	return faults
}
