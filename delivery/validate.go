package delivery

import (
	"fmt"
	"math"
	"net/netip"
	"time"
)

const (
	// maxConcurrency keeps a slip of the keyboard from asking for more sockets than a process can have.
	maxConcurrency = 10_000
	// maxTimeout keeps leases, which are longer than two timeouts, within reason.
	maxTimeout = time.Hour
	// maxStep is the longest wait between two attempts; beyond it a message would outlive every sensible retention.
	maxStep = 365 * 24 * time.Hour
)

// Validate returns all faults of the configuration, each naming its variable; none shows a secret.
func (c Config) Validate() []error {
	var faults []error
	add := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }

	if c.Concurrency < 1 || c.Concurrency > maxConcurrency {
		add("DELIVERY_CONCURRENCY is %d, must be between 1 and %d", c.Concurrency, maxConcurrency)
	}
	if c.EndpointConcurrency < 1 || c.EndpointConcurrency > maxConcurrency {
		add("DELIVERY_ENDPOINT_CONCURRENCY is %d, must be between 1 and %d", c.EndpointConcurrency, maxConcurrency)
	}
	if !(c.EndpointRate >= 0) || math.IsInf(c.EndpointRate, 0) {
		add("DELIVERY_ENDPOINT_RATE is %v, must be 0 (no limit) or requests a second", c.EndpointRate)
	}
	if c.Timeout <= 0 || c.Timeout > maxTimeout {
		add("DELIVERY_TIMEOUT is %v, must be more than 0 and at most %v", c.Timeout, maxTimeout)
	}
	if len(c.RetrySchedule) == 0 {
		add("DELIVERY_RETRY_SCHEDULE is empty, must have at least one wait")
	}
	for i, step := range c.RetrySchedule {
		if step <= 0 || step > maxStep {
			add("DELIVERY_RETRY_SCHEDULE: wait %d is %v, must be more than 0 and at most %v", i+1, step, maxStep)
		}
	}
	if c.BreakerFailures < 1 {
		add("DELIVERY_BREAKER_FAILURES is %d, must be at least 1", c.BreakerFailures)
	}
	if c.BreakerProbe <= 0 {
		add("DELIVERY_BREAKER_PROBE is %v, must be more than 0", c.BreakerProbe)
	}
	faults = append(faults, c.validateSecrets()...)
	faults = append(faults, validateNetworks("DELIVERY_ALLOW_NETWORKS", c.AllowNetworks)...)
	faults = append(faults, validateNetworks("DELIVERY_DENY_NETWORKS", c.DenyNetworks)...)
	if _, err := authorities(c.CAFile); err != nil {
		faults = append(faults, err)
	}
	return faults
}

func (c Config) validateSecrets() []error {
	var faults []error
	for i, s := range c.SigningSecrets {
		if _, err := SigningKeys(s); err != nil {
			faults = append(faults, fmt.Errorf("DELIVERY_SIGNING_SECRETS: element %d of the list: %w", i+1, err))
		}
	}
	return faults
}

// validateNetworks refuses host bits: 10.1.2.3/8 reads like one host and would open sixteen million.
func validateNetworks(name string, networks []netip.Prefix) []error {
	var faults []error
	for i, network := range networks {
		switch {
		case !network.IsValid():
			faults = append(faults, fmt.Errorf("%s: network %d is not a CIDR range", name, i+1))
		case network != network.Masked():
			faults = append(faults, fmt.Errorf("%s: %v is not the start of its range, write %v or %v",
				name, network, network.Masked(), netip.PrefixFrom(network.Addr(), network.Addr().BitLen())))
		}
	}
	return faults
}
