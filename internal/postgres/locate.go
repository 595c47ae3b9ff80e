package postgres

import (
	"context"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// ConnectTimeout bounds one attempt to connect to a server, from the first packet to the end of authentication.
	ConnectTimeout = 5 * time.Second
	// listTimeout is ConnectTimeout where there are further addresses to try.
	listTimeout = 3 * time.Second
	// shortestTimeout is libpq's: a shorter connect_timeout is rounded up (PostgreSQL 14-18).
	shortestTimeout = 2 * time.Second
	// passedOverFor is how long an address that did not serve, while one after it did, is tried last.
	passedOverFor = 30 * time.Second
)

// locate looks up every host of config and replaces the hosts by their addresses, one after the other, those that
// failed recently last. It sets how long each may take, and returns how long all may. The names stay in config where
// TLS needs them. pgconn would look up all names under one deadline, and give up the whole list when the first server's
// deadline is the outer one.
func locate(ctx context.Context, config *pgconn.Config, known map[string][]string) (time.Duration, error) {
	hosts := append([]*pgconn.FallbackConfig{{Host: config.Host, Port: config.Port, TLSConfig: config.TLSConfig}},
		config.Fallbacks...)
	addresses := map[string][]string{}
	var failed error
	for _, host := range hosts {
		if _, looked := addresses[host.Host]; looked {
			continue
		}
		found, err := lookUp(ctx, config, host.Host, known)
		if err != nil {
			failed = err
		}
		addresses[host.Host] = found
	}
	var list []*pgconn.FallbackConfig
	for len(hosts) > 0 {
		// A host is repeated for each way to use TLS: all ways to an address come before the next address.
		ways := 1
		for ways < len(hosts) && hosts[ways].Host == hosts[0].Host && hosts[ways].Port == hosts[0].Port {
			ways++
		}
		for _, address := range addresses[hosts[0].Host] {
			for _, way := range hosts[:ways] {
				list = append(list, &pgconn.FallbackConfig{Host: address, Port: way.Port, TLSConfig: way.TLSConfig})
			}
		}
		hosts = hosts[ways:]
	}
	if len(list) == 0 {
		return 0, connectError{cause: failed}
	}
	slices.SortStableFunc(list, func(a, b *pgconn.FallbackConfig) int { return passed.rank(a) - passed.rank(b) })
	config.Host, config.Port, config.TLSConfig = list[0].Host, list[0].Port, list[0].TLSConfig
	config.Fallbacks = list[1:]
	return bound(config, list), nil
}

// lookUp returns the addresses of a host, each once.
func lookUp(ctx context.Context, config *pgconn.Config, host string, known map[string][]string) ([]string, error) {
	if given := known[host]; len(given) > 0 {
		return given, nil
	}
	if filepath.IsAbs(host) || net.ParseIP(host) != nil {
		return []string{host}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	found, err := config.LookupFunc(ctx, host)
	if err != nil {
		return nil, err
	}
	var once []string
	for _, address := range found {
		if !slices.Contains(once, address) {
			once = append(once, address)
		}
	}
	return once, nil
}

// bound sets how long each address may take: connect_timeout, but no longer than we wait for a database. It returns the
// time for all of them, and for one that is tried again because it was second best (prefer-standby).
func bound(config *pgconn.Config, list []*pgconn.FallbackConfig) time.Duration {
	distinct := map[string]bool{}
	for _, one := range list {
		distinct[key(one.Host, one.Port)] = true
	}
	longest := ConnectTimeout
	if len(distinct) > 1 {
		longest = listTimeout
	}
	if given := config.ConnectTimeout; given > 0 {
		longest = min(max(given, shortestTimeout), ConnectTimeout)
	}
	config.ConnectTimeout = longest
	return longest*time.Duration(len(distinct)+1) + time.Second
}

func key(host string, port uint16) string { return net.JoinHostPort(host, strconv.Itoa(int(port))) }

// passedOver are the addresses that failed while one after them worked. Trying them first again would cost each new
// connection a time-out.
type passedOver struct {
	mu    sync.Mutex
	until map[string]time.Time
}

var passed = passedOver{until: map[string]time.Time{}}

// rank is 1 for an address that is tried last.
func (p *passedOver) rank(a *pgconn.FallbackConfig) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	address := key(a.Host, a.Port)
	until, found := p.until[address]
	switch {
	case !found:
		return 0
	case time.Now().After(until):
		delete(p.until, address)
		return 0
	default:
		return 1
	}
}

func (p *passedOver) add(addresses []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, address := range addresses {
		p.until[address] = time.Now().Add(passedOverFor)
	}
}

// dialled remembers which addresses one attempt to connect has tried. The driver uses it later as well, from goroutines
// of its own, to cancel the query of a connection that was given up (pgx 5.12, CancelRequest).
type dialled struct {
	mu        sync.Mutex
	addresses []string
}

func (d *dialled) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if network != "unix" {
		d.mu.Lock()
		d.addresses = append(d.addresses, address)
		d.mu.Unlock()
	}
	return dialer().DialContext(ctx, network, address)
}

func (d *dialled) tried() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.addresses)
}

// served: the last one did, by this connection.
func (d *dialled) served(conn *pgconn.PgConn) {
	tried := d.tried()
	if len(tried) == 0 {
		return
	}
	last := tried[len(tried)-1]
	learn(conn, last)
	passed.add(slices.DeleteFunc(tried, func(address string) bool { return address == last }))
}
