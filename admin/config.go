package admin

import (
	"errors"
	"net"
	"strconv"

	"attendee-relay/internal/secret"
)

// Config says where the operator's HTTP server listens; the names of the variables are fixed by the public contract,
// section 5.
type Config struct {
	// Addr is host:port; no server if it is empty. So an ADMIN_ADDR set to nothing is kept, and does not count as unset.
	Addr string `env:"ADMIN_ADDR, default=127.0.0.1:8080" blank:"kept"`
	// Token opens the pages and the API; without it only health and metrics are served.
	Token secret.String `env:"ADMIN_TOKEN"`
}

// Validate reports everything that is wrong with the settings. No value is shown.
func (c Config) Validate() []error {
	if c.Addr == "" {
		return nil
	}
	fault := errors.New("ADMIN_ADDR: it must be host:port such as 127.0.0.1:8080, " +
		"or :8080 for every address of the machine")
	_, port, err := net.SplitHostPort(c.Addr)
	if err != nil {
		return []error{fault}
	}
	if number, err := strconv.Atoi(port); err != nil || number < 0 || number > 65535 {
		return []error{fault}
	}
	return nil
}
