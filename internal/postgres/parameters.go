package postgres

import (
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// ignored are keywords of libpq (PQconndefaults, 14 to 18) that would be sent to the server, which does not know them,
// and that change nothing here: the relay watches its connections itself, tries hosts in their order, and names itself
// to the server.
var ignored = []string{
	"keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout", "load_balance_hosts",
	"fallback_application_name", "replication", "sslcompression", "sslkeylogfile", "gsslib", "gssdelegation",
	"authtype", "tty",
}

// unsupported are keywords of libpq that ask for something the relay does not do, and that must not be ignored
// in silence.
var unsupported = map[string]string{
	"requirepeer":         "it cannot check which user runs the server",
	"sslcrl":              "it reads no certificate revocation lists",
	"sslcrldir":           "it reads no certificate revocation lists",
	"scram_client_key":    "give the password",
	"scram_server_key":    "give the password",
	"oauth_issuer":        "give a password or a client certificate",
	"oauth_client_id":     "give a password or a client certificate",
	"oauth_client_secret": "give a password or a client certificate",
	"oauth_scope":         "give a password or a client certificate",
}

// tlsVersions are the values of ssl_min_protocol_version and ssl_max_protocol_version.
var tlsVersions = map[string]uint16{
	"": 0, "TLSv1": tls.VersionTLS10, "TLSv1.1": tls.VersionTLS11, "TLSv1.2": tls.VersionTLS12,
	"TLSv1.3": tls.VersionTLS13,
}

// settle removes the keywords of libpq that pgx does not know from the parameters that would be sent to the server, and
// acts on those that ask for something. It returns faults as sentences that repeat no value.
func settle(c *pgx.ConnConfig) (faults []string) {
	for _, name := range ignored {
		delete(c.RuntimeParams, name)
	}
	take := func(name string) string {
		value := c.RuntimeParams[name]
		delete(c.RuntimeParams, name)
		return value
	}
	for _, name := range slices.Sorted(maps.Keys(unsupported)) {
		if take(name) != "" {
			faults = append(faults, fmt.Sprintf("the relay does not support %s (%s); remove it", name, unsupported[name]))
		}
	}
	switch take("gssencmode") {
	case "", "disable", "prefer":
	default:
		faults = append(faults, "the relay does not encrypt with GSSAPI; set gssencmode to prefer or disable, and sslmode "+
			"to verify-full for TLS")
	}
	lowest, knownLowest := tlsVersions[take("ssl_min_protocol_version")]
	highest, knownHighest := tlsVersions[take("ssl_max_protocol_version")]
	if !knownLowest || !knownHighest {
		faults = append(faults, "ssl_min_protocol_version and ssl_max_protocol_version must be "+
			"TLSv1, TLSv1.1, TLSv1.2 or TLSv1.3")
	}
	for _, config := range tlsConfigs(c) {
		config.MinVersion, config.MaxVersion = lowest, highest
	}
	return append(faults, ofFrameworks(c.RuntimeParams)...)
}

func tlsConfigs(c *pgx.ConnConfig) (list []*tls.Config) {
	if c.TLSConfig != nil {
		list = append(list, c.TLSConfig)
	}
	for _, other := range c.Fallbacks {
		if other.TLSConfig != nil {
			list = append(list, other.TLSConfig)
		}
	}
	return list
}

// hostAddresses acts on hostaddr, which gives the address of each host: the host's name then serves TLS only.
func hostAddresses(c *pgx.ConnConfig) (map[string][]string, error) {
	text, given := c.RuntimeParams["hostaddr"]
	delete(c.RuntimeParams, "hostaddr")
	if !given || text == "" {
		return nil, nil
	}
	hosts := []string{c.Host}
	for _, other := range c.Fallbacks {
		if other.Host != hosts[len(hosts)-1] {
			hosts = append(hosts, other.Host)
		}
	}
	addresses := strings.Split(text, ",")
	if len(addresses) != len(hosts) {
		return nil, errors.New("host and hostaddr must list the same number of servers")
	}
	list := map[string][]string{}
	for i, host := range hosts {
		if addresses[i] != "" {
			list[host] = append(list[host], addresses[i])
		}
	}
	return list, nil
}
