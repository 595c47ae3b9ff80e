package delivery

import (
	"net/netip"
	"time"

	"attendee-relay/internal/secret"
)

// Config says how messages are sent; the names of the variables are fixed by the public contract, section 5.
type Config struct {
	// Enabled: false captures only.
	Enabled bool `env:"DELIVERY_ENABLED, default=true"`
	// Concurrency bounds the requests in flight in this process, EndpointConcurrency those to one endpoint.
	Concurrency         int `env:"DELIVERY_CONCURRENCY, default=256"`
	EndpointConcurrency int `env:"DELIVERY_ENDPOINT_CONCURRENCY, default=8"`
	// EndpointRate is requests a second to one endpoint; 0: no limit.
	EndpointRate float64 `env:"DELIVERY_ENDPOINT_RATE, default=0"`
	// Timeout bounds one whole exchange, from dial to the last byte read.
	Timeout time.Duration `env:"DELIVERY_TIMEOUT, default=15s"`
	// RetrySchedule is the wait before each further attempt; after its last step a message is dead.
	RetrySchedule []time.Duration `env:"DELIVERY_RETRY_SCHEDULE, default=5s,5m,30m,2h,5h,10h,14h,20h,24h"`
	// BreakerFailures failures in a row pause an endpoint; BreakerProbe is the first wait before a probe.
	BreakerFailures int           `env:"DELIVERY_BREAKER_FAILURES, default=10"`
	BreakerProbe    time.Duration `env:"DELIVERY_BREAKER_PROBE, default=30s"`
	// SigningSecrets sign the messages whose row has no secret of its own; several: rotation.
	SigningSecrets []secret.String `env:"DELIVERY_SIGNING_SECRETS"`
	// AllowHTTP permits plain http; AllowNetworks permits addresses that are not public, DenyNetworks refuses any.
	AllowHTTP     bool           `env:"DELIVERY_ALLOW_HTTP, default=false"`
	AllowNetworks []netip.Prefix `env:"DELIVERY_ALLOW_NETWORKS"`
	DenyNetworks  []netip.Prefix `env:"DELIVERY_DENY_NETWORKS"`
	// CAFile names a PEM file of certificate authorities that are trusted beside the system's.
	CAFile string `env:"DELIVERY_CA_FILE"`
}

// Lease returns how long a claimed message belongs to its claimer: a request that starts late in it still ends, and is
// recorded, before anybody else may send the message.
func (c Config) Lease() time.Duration { return 2*c.Timeout + 15*time.Second }
