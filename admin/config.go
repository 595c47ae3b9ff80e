package admin

import "attendee-relay/internal/secret"

// Config says where the operator's HTTP server listens; the names of the variables are fixed by the public contract,
// section 5.
type Config struct {
	// Addr is host:port; empty: no server.
	Addr string `env:"ADMIN_ADDR, default=127.0.0.1:8080"`
	// Token opens the pages and the API; without it only health and metrics are served.
	Token secret.String `env:"ADMIN_TOKEN"`
}
