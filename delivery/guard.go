package delivery

import (
	"net/netip"
	"syscall"

	"code.dny.dev/ssrf"
)

// Refusal says why the relay would not send to a URL. Its text never holds the URL or an address.
type Refusal struct{ reason string }

// Error implements error.
func (r *Refusal) Error() string { return "refused: " + r.reason }

// errNotPublic is one text for every address, so that a message's history does not become a map of the private network.
var errNotPublic = &Refusal{reason: "address is not public"}

var (
	// azureWire answers only inside Azure, with the machine's credentials, and is public space to every registry.
	azureWire = netip.MustParsePrefix("168.63.129.16/32")
	// nat64 addresses carry an IPv4 address in their last four bytes (RFC 6052).
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
)

// guard decides which addresses may be connected to: public unicast ones and the allowed networks.
type guard struct {
	allowed []netip.Prefix
	public  *ssrf.Guardian
}

func newGuard(allowed []netip.Prefix) *guard {
	g := &guard{public: ssrf.New(ssrf.WithAnyPort(), ssrf.WithDeniedV4Prefixes(azureWire))}
	for _, network := range allowed {
		g.allowed = append(g.allowed, unmapped(network))
	}
	return g
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

func (g *guard) check(address netip.Addr) error {
	// The kernel sends a mapped address to the IPv4 one it carries, and an allowed range is meant for every interface.
	plain := address.Unmap().WithZone("")
	if g.allows(plain) {
		// An allowed translator is no permission for what lies behind it.
		if nat64.Contains(plain) {
			return g.check(carried(plain))
		}
		return nil
	}
	if g.public.SafeAddr(address.Unmap()) != nil {
		return errNotPublic
	}
	return nil
}

func (g *guard) allows(address netip.Addr) bool {
	for _, network := range g.allowed {
		if network.Contains(address) {
			return true
		}
	}
	return false
}

// carried returns the IPv4 address inside a NAT64 one.
func carried(address netip.Addr) netip.Addr {
	bytes := address.As16()
	return netip.AddrFrom4([4]byte(bytes[12:]))
}

// unmapped turns a range of IPv4-mapped addresses into the IPv4 range it means.
func unmapped(network netip.Prefix) netip.Prefix {
	if !network.Addr().Is4In6() || network.Bits() < 96 {
		return network
	}
	return netip.PrefixFrom(network.Addr().Unmap(), network.Bits()-96)
}
