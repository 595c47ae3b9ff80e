package config

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"attendee-relay/internal/secret"
)

// minConns is what the stages need at the same time at least: four for capture (writer, reader, resolver, and one that sets
// up and watches), and one for deliveries.
const minConns = 5

// maxShutdown bounds SHUTDOWN_TIMEOUT: what stops for longer than this is a process that hangs.
const maxShutdown = time.Hour

var (
	deploymentPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
	schemePattern     = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.:-]*)://`)
)

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
	if fault := checkConnection("DATABASE_URL", d.URL); fault != nil {
		faults = append(faults, fault)
	}
	if d.ReplicationURL != d.URL {
		if fault := checkConnection("DATABASE_REPLICATION_URL", d.ReplicationURL); fault != nil {
			faults = append(faults, fault)
		}
	}
	return faults
}

// checkConnection reports a connection string that pgx would refuse. pgx's own error is not passed on: it repeats the
// string, and with some mistakes the password in it. A string of another scheme is refused here, because one with a "="
// in it passes as key=value pairs and would lead to a database nobody meant.
func checkConnection(name string, conninfo secret.String) error {
	if conninfo.IsZero() {
		return nil // reported as missing
	}
	text := conninfo.Reveal()
	if scheme := schemePattern.FindStringSubmatch(text); scheme != nil {
		if lower := strings.ToLower(scheme[1]); lower != "postgres" && lower != "postgresql" {
			return fmt.Errorf("%s: it must begin with postgres:// or postgresql://", name)
		}
	}
	if _, err := pgconn.ParseConfig(text); err != nil {
		return fmt.Errorf("%s: it is not understood; write postgres://user:password@host:5432/database?sslmode=require, "+
			"with %% escapes for special characters in the password, or key=value pairs; the files it names must exist", name)
	}
	return nil
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
