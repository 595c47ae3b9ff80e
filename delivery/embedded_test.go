package delivery

import (
	"net/netip"
	"testing"
)

func prefixes(networks ...string) []netip.Prefix {
	var list []netip.Prefix
	for _, network := range networks {
		list = append(list, netip.MustParsePrefix(network))
	}
	return list
}

// Each embeds 10.1.2.3 in one way; with its range allowed, it stays closed until 10.1.2.3 is allowed as well.
var embeddings = map[string]struct{ network, address string }{
	"IPv4-mapped":                    {"::ffff:0:0/96", "::ffff:10.1.2.3"},
	"IPv4-mapped, all of IPv6":       {"::/0", "::ffff:10.1.2.3"},
	"IPv4-compatible":                {"::/96", "::10.1.2.3"},
	"IPv4-translated":                {"::ffff:0:0:0/96", "::ffff:0:10.1.2.3"},
	"NAT64":                          {"64:ff9b::/96", "64:ff9b::10.1.2.3"},
	"NAT64, a range around it":       {"64::/16", "64:ff9b::10.1.2.3"},
	"local NAT64, a prefix of 48":    {"64:ff9b:1::/48", "64:ff9b:1:a01:2:300::"},
	"local NAT64, 48 and a suffix":   {"64:ff9b:1::/48", "64:ff9b:1:a01:2:308:808:808"},
	"local NAT64, a prefix of 56":    {"64:ff9b:1::/48", "64:ff9b:1:a:1:203::"},
	"local NAT64, a prefix of 64":    {"64:ff9b:1::/48", "64:ff9b:1::a:102:300:0"},
	"local NAT64, a prefix of 96":    {"64:ff9b:1::/48", "64:ff9b:1::10.1.2.3"},
	"local NAT64, a longer prefix":   {"64:ff9b:1:808::/96", "64:ff9b:1:808::10.1.2.3"},
	"local NAT64, the one address":   {"64:ff9b:1::a01:203/128", "64:ff9b:1::a01:203"},
	"another NAT64, a prefix of 32":  {"64:ff9b::/32", "64:ff9b:a01:203::"},
	"another NAT64, a prefix of 40":  {"64:ff9b::/32", "64:ff9b:a:102:3::"},
	"another NAT64, a prefix of 48":  {"64:ff9b::/32", "64:ff9b:7:a01:2:300::"},
	"6to4":                           {"2002::/16", "2002:a01:203::1"},
	"Teredo, the client":             {"2001::/32", "2001:0:808:808::f5fe:fdfc"},
	"Teredo, the server":             {"2001::/32", "2001:0:a01:203::f7f7:f7f7"},
	"ISATAP in a public network":     {"fd00::/8", "2606:4700::5efe:10.1.2.3"},
	"ISATAP, the other identifier":   {"fd00::/8", "2606:4700::200:5efe:10.1.2.3"},
	"ISATAP in an allowed network":   {"fd00::/8", "fd00::5efe:10.1.2.3"},
	"ISATAP in a link-local network": {"fe80::/10", "fe80::5efe:10.1.2.3%lo"},
	"ISATAP in a 6to4 network":       {"2002::/16", "2002:808:808::5efe:10.1.2.3"},
}

func TestAnEmbeddedAddressCountsAsBoth(t *testing.T) {
	t.Parallel()
	for name, c := range embeddings {
		address := netip.MustParseAddr(c.address)
		for what, g := range map[string]*guard{
			"nothing allowed":           newGuard(nil, nil),
			"the outer address allowed": newGuard(prefixes(c.network), nil),
			"the inner address denied":  newGuard(prefixes(c.network, "10.0.0.0/8"), prefixes("10.1.2.3/32")),
			"the outer address denied": newGuard(prefixes(c.network, "10.0.0.0/8"),
				[]netip.Prefix{netip.PrefixFrom(address.WithZone(""), 128)}),
			"everything allowed, inner denied": newGuard(prefixes("0.0.0.0/0", "::/0"), prefixes("10.0.0.0/8")),
		} {
			if g.check(address) == nil {
				t.Errorf("%s: %s is open with %s", name, c.address, what)
			}
		}
		if err := newGuard(prefixes(c.network, "10.0.0.0/8"), nil).check(address); err != nil {
			t.Errorf("%s: %s is closed although both addresses are allowed", name, c.address)
		}
	}
}

func TestPublicAddressesBehindAnAllowedTranslatorAreOpen(t *testing.T) {
	t.Parallel()
	for network, addresses := range map[string][]string{
		"64:ff9b::/96":   {"64:ff9b::8.8.8.8", "64:ff9b::1.1.1.1", "64:ff9b::100.63.255.255"},
		"64:ff9b:1::/48": {"64:ff9b:1::8.8.8.8", "64:ff9b:1:808:8:800::", "64:ff9b:1:8:8:808::", "64:ff9b:1::8:808:800:0"},
		"2002::/16":      {"2002:808:808::1"},
		"2001::/32":      {"2001:0:808:808::f7f7:f7f7"},
	} {
		g := newGuard(prefixes(network), nil)
		for _, address := range addresses {
			if g.check(netip.MustParseAddr(address)) != nil {
				t.Errorf("%s is closed with %s allowed", address, network)
			}
		}
		// A position that holds nothing is no way to nowhere.
		for _, address := range []string{"64:ff9b::", "64:ff9b:1::", "64:ff9b:1::1", "2002::1", "2001::"} {
			if g.check(netip.MustParseAddr(address)) == nil {
				t.Errorf("%s is open with %s allowed", address, network)
			}
		}
	}
}

func TestDeniedNetworksWinOverAllowedAndPublicOnes(t *testing.T) {
	t.Parallel()
	g := newGuard(prefixes("10.0.0.0/8", "fd00::/8", "192.168.0.0/16"),
		prefixes("10.9.0.0/16", "8.8.8.0/24", "2606:4700::/32", "fd00:9::/32", "::ffff:192.168.1.0/120"))
	for address, open := range map[string]bool{
		"10.1.2.3": true, "10.9.1.2": false, "::ffff:10.9.1.2": false, "8.8.8.8": false, "::ffff:8.8.8.8": false,
		"8.8.4.4": true, "2606:4700::1": false, "2606:4701::1": true, "fd00::1": true, "fd00:9::1": false,
		"fd00:9::1%lo": false, "192.168.2.1": true, "192.168.1.1": false, "2a00::5efe:8.8.8.8": false,
		"2a00::5efe:8.8.4.4": true,
	} {
		if got := g.check(netip.MustParseAddr(address)) == nil; got != open {
			t.Errorf("%s: open %v, want %v", address, got, open)
		}
	}
	none := newGuard(prefixes("0.0.0.0/0"), prefixes("0.0.0.0/0", "::/0"))
	for _, address := range public {
		if none.check(netip.MustParseAddr(address)) == nil {
			t.Errorf("%s is open although everything is denied", address)
		}
	}
}
