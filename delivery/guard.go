package delivery

import (
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"code.dny.dev/ssrf"
)

// Refusal says why the relay would not send to a URL. Its text never holds the URL or an address.
type Refusal struct{ reason string }

// Error implements error.
func (r *Refusal) Error() string { return "refused: " + r.reason }

// errNotPublic is one text for every address, and for a name that does not exist, so that a message's history does not
// become a map of the private network.
var errNotPublic = &Refusal{reason: "no such host, or its address is not public and not in DELIVERY_ALLOW_NETWORKS, " +
	"or it is in DELIVERY_DENY_NETWORKS"}

// azureWire answers only inside Azure, with the machine's credentials, and is public space to every registry.
var azureWire = netip.MustParsePrefix("168.63.129.16/32")

// guard decides which addresses may be connected to: public unicast ones and the allowed networks, but for the denied
// ones. An address that is embedded in another counts as both.
type guard struct {
	allowed, denied []netip.Prefix
	public          *ssrf.Guardian
}

func newGuard(allowed, denied []netip.Prefix) *guard {
	return &guard{
		allowed: allowed,
		denied:  unmapped(denied),
		public:  ssrf.New(ssrf.WithAnyPort(), ssrf.WithDeniedV4Prefixes(azureWire)),
	}
}

// control is the dialer's hook. It sees the address of the socket that is about to connect, after DNS and for each
// address tried, so that no name can be one address when it is checked and another when it is used.
func (g *guard) control(network, address string, _ syscall.RawConn) error {
	if network != "tcp4" && network != "tcp6" {
		return errNotPublic
	}
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return errNotPublic
	}
	return g.check(target.Addr())
}

// literal checks a host that is an address; a name can be checked on the socket only. It is for what never comes to a
// socket of ours: configuration, and a proxy.
func (g *guard) literal(host string) error {
	address, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if err != nil {
		return nil
	}
	return g.check(address)
}

func (g *guard) check(address netip.Addr) error {
	// The kernel sends a mapped address to the IPv4 one that it carries; a range that denies either denies both.
	plain := address.Unmap()
	if !g.permits(plain) || contains(g.denied, address) {
		return errNotPublic
	}
	for _, inner := range embedded(plain.WithZone("")) {
		if !g.permits(inner) {
			return errNotPublic
		}
	}
	return nil
}

// permits judges an address without those embedded in it.
func (g *guard) permits(address netip.Addr) bool {
	everywhere := address.WithZone("") // a range is meant for every interface
	if contains(g.denied, everywhere) {
		return false
	}
	return contains(g.allowed, everywhere) || g.public.SafeAddr(address) == nil
}

func contains(networks []netip.Prefix, address netip.Addr) bool {
	return slices.ContainsFunc(networks, func(network netip.Prefix) bool { return network.Contains(address) })
}

// unmapped turns ranges of IPv4-mapped addresses into the IPv4 ranges that they carry. It is for denied networks only:
// to allow an address that is embedded in another, the inner one must be allowed by its own name.
func unmapped(networks []netip.Prefix) []netip.Prefix {
	plain := slices.Clone(networks)
	for i, network := range plain {
		if network.Addr().Is4In6() && network.Bits() >= 96 {
			plain[i] = netip.PrefixFrom(network.Addr().Unmap(), network.Bits()-96)
		}
	}
	return plain
}
