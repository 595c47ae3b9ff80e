package postgres

import (
	"net/url"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/secret"
)

// target is a connection string that was understood.
type target struct {
	config *pgx.ConnConfig
	// addresses are where the hosts are that hostaddr names; the others are looked up.
	addresses map[string][]string
}

// unusable is the error of a connection string that cannot be used now; the next time it, or the file that holds it,
// may have changed.
type unusable struct{ reason string }

// Error implements error.
func (e unusable) Error() string { return e.reason }

// read reads a connection string as it is now.
func read(conninfo secret.String) (*target, error) {
	text, err := conninfo.Read()
	if err != nil {
		return nil, unusable{err.Error()}
	}
	found, faults := understand(text)
	if len(faults) > 0 {
		name := conninfo.Variable()
		if name == "" {
			name = "the connection string of the database"
		}
		return nil, unusable{name + ": " + strings.Join(faults, "; ")}
	}
	return found, nil
}

// Check returns the faults of a connection string as sentences that hold no part of it except known names of
// parameters.
func Check(text string) []string {
	_, faults := understand(text)
	return faults
}

func understand(text string) (*target, []string) {
	if foreign := foreignForm(text); foreign != "" {
		return nil, []string{foreign}
	}
	config, err := pgx.ParseConfig(text)
	if err == nil && config.RuntimeParams["hostaddr"] != "" && filepath.IsAbs(config.Host) {
		config, err = pgx.ParseConfig(withHost(text, config.RuntimeParams["hostaddr"]))
	}
	if err != nil {
		return nil, []string{misunderstood(err)}
	}
	faults := settle(config)
	addresses, err := hostAddresses(config)
	if err != nil {
		faults = append(faults, err.Error())
	}
	return &target{config, addresses}, faults
}

// misunderstood explains what pgx cannot parse. Its own words repeat the text, and with some mistakes the password in
// it.
func misunderstood(err error) string {
	for _, name := range []string{"target_session_attrs", "sslcertmode", "connect_timeout", "min_protocol_version",
		"max_protocol_version", "channel_binding", "require_auth"} {
		if strings.Contains(err.Error(), "invalid "+name) || strings.Contains(err.Error(), "unknown "+name+" value") {
			return "the value of " + name + " is not one that Postgres knows"
		}
	}
	return "it is not understood; write postgres://user:password@host:5432/database?sslmode=verify-full, with % escapes " +
		"for special characters in the password, or key=value pairs; the files it names must exist"
}

// withHost adds a host to a connection string that has only hostaddr: pgx would take the local socket, and leave TLS
// out.
func withHost(text, host string) string {
	if !strings.Contains(text, "://") {
		return text + " host='" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(host) + "'"
	}
	separator := "?"
	if strings.Contains(text, "?") {
		separator = "&"
	}
	return text + separator + "host=" + url.QueryEscape(host)
}
