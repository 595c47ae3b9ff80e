package delivery

import (
	"encoding/base64"
	"errors"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"attendee-relay/internal/secret"
)

func TestValidateAcceptsTheDefaults(t *testing.T) {
	t.Parallel()
	if faults := testConfig().Validate(); len(faults) > 0 {
		t.Error(errors.Join(faults...))
	}
}

func TestValidateNamesEveryVariableAtOnce(t *testing.T) {
	t.Parallel()
	faults := Config{EndpointRate: -1, SigningSecrets: []secret.String{secret.New("whsec_%")},
		AllowNetworks: []netip.Prefix{{}}}.Validate()
	all := errors.Join(faults...).Error()
	for _, name := range []string{"DELIVERY_CONCURRENCY", "DELIVERY_ENDPOINT_CONCURRENCY", "DELIVERY_ENDPOINT_RATE",
		"DELIVERY_TIMEOUT", "DELIVERY_RETRY_SCHEDULE", "DELIVERY_BREAKER_FAILURES", "DELIVERY_BREAKER_PROBE",
		"DELIVERY_SIGNING_SECRETS", "DELIVERY_ALLOW_NETWORKS"} {
		if !strings.Contains(all, name) {
			t.Errorf("%s is not named in:\n%s", name, all)
		}
	}
	if len(faults) != 9 {
		t.Errorf("%d faults:\n%s", len(faults), all)
	}
}

func TestValidateRefuses(t *testing.T) {
	t.Parallel()
	key := func(size int) string { return "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, size)) }
	secrets := func(texts ...string) func(*Config) {
		return func(c *Config) {
			for _, text := range texts {
				c.SigningSecrets = append(c.SigningSecrets, secret.New(text))
			}
		}
	}
	networks := func(texts ...string) func(*Config) {
		return func(c *Config) {
			for _, text := range texts {
				c.AllowNetworks = append(c.AllowNetworks, netip.MustParsePrefix(text))
			}
		}
	}
	for name, c := range map[string]struct {
		change func(*Config)
		want   string // empty: nothing is refused
	}{
		"a million requests at once": {func(c *Config) { c.Concurrency = 1e6 }, "DELIVERY_CONCURRENCY is 1000000"},
		"a share above the whole":    {func(c *Config) { c.Concurrency = 4 }, ""},
		"a rate that is no number":   {func(c *Config) { c.EndpointRate = math.NaN() }, "DELIVERY_ENDPOINT_RATE"},
		"an infinite rate":           {func(c *Config) { c.EndpointRate = math.Inf(1) }, "DELIVERY_ENDPOINT_RATE"},
		"a rate below one":           {func(c *Config) { c.EndpointRate = 0.1 }, ""},
		"a timeout of a day":         {func(c *Config) { c.Timeout = 24 * time.Hour }, "DELIVERY_TIMEOUT is 24h"},
		"a second wait of zero":      {func(c *Config) { c.RetrySchedule = []time.Duration{1, 0} }, "wait 2 is 0s"},
		"a wait of a century":        {func(c *Config) { c.RetrySchedule = []time.Duration{math.MaxInt64} }, "wait 1"},
		"keys of any length from 8":  {secrets(key(8), key(24), key(65)), ""},
		"a key too short": {secrets(key(24), key(7)),
			"element 2 of the list: refused: the signing secret has fewer than 8 bytes"},
		"a text as it stands": {secrets("8 bytes!", " eight888\t"),
			"element 1 of the list: refused: the signing secret has fewer than 8 bytes"},
		"texts of 8 bytes":             {secrets("bytes_8!", " eight888\t", "zażółć"), ""},
		"a text of 7 bytes":            {secrets("seven77"), "fewer than 8 bytes"},
		"two in one, one too short":    {secrets(key(24) + " " + key(7)), "fewer than 8 bytes"},
		"an empty secret":              {secrets(""), "is blank"},
		"a blank secret":               {secrets(" \t\u00a0"), "is blank"},
		"a marked secret without text": {secrets("whsec_"), "fewer than 8 bytes"},
		"one host":                     {networks("10.1.2.3/32", "fd00::1/128"), ""},
		"a range with host bits":       {networks("10.1.2.3/8"), "write 10.0.0.0/8 or 10.1.2.3/32"},
	} {
		all := errors.Join(testConfig(c.change).Validate()...)
		switch {
		case c.want == "" && all != nil:
			t.Errorf("%s: %v", name, all)
		case c.want != "" && (all == nil || !strings.Contains(all.Error(), c.want)):
			t.Errorf("%s: %v, want %q", name, all, c.want)
		}
	}
}

func TestValidateShowsNoSecret(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"whsec_hunter2hunter2", "whsec_hunter2=="} {
		faults := testConfig(func(c *Config) { c.SigningSecrets = []secret.String{secret.New(text)} }).Validate()
		if len(faults) != 1 || strings.Contains(faults[0].Error(), "hunter2") {
			t.Errorf("%v", faults)
		}
	}
}
