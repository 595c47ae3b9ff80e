package delivery

import "net/netip"

var (
	// translators is the space of NAT64 translators: the well-known prefix 64:ff9b::/96 (RFC 6052), the local-use
	// 64:ff9b:1::/48 (RFC 8215), and what lies between and behind them.
	translators = netip.MustParsePrefix("64:ff9b::/32")
	localUse    = netip.MustParsePrefix("64:ff9b:1::/48")
	sixToFour   = netip.MustParsePrefix("2002::/16")       // RFC 3056
	teredo      = netip.MustParsePrefix("2001::/32")       // RFC 4380
	translated  = netip.MustParsePrefix("::ffff:0:0:0/96") // RFC 2765
	compatible  = netip.MustParsePrefix("::/96")           // RFC 4291, section 2.5.5.1
	thisNetwork = netip.MustParsePrefix("0.0.0.0/8")       // RFC 791
	loopback6   = netip.IPv6Loopback()
)

// translatorBytes are the bytes of an IPv6 address that carry the IPv4 address, for each length that RFC 6052, section
// 2.2, gives a translator's prefix: 32, 40, 48, 56, 64 and 96 bits. Byte 8 is never one of them.
var translatorBytes = [][4]int{
	{4, 5, 6, 7}, {5, 6, 7, 9}, {6, 7, 9, 10}, {7, 9, 10, 11}, {9, 10, 11, 12}, {12, 13, 14, 15},
}

// embedded returns the IPv4 addresses at which a packet to an address may end. An IPv4-mapped address has none: it is
// the IPv4 address itself, to the kernel too.
func embedded(address netip.Addr) []netip.Addr {
	if !address.Is6() || address.Is4In6() {
		return nil
	}
	b := address.As16()
	at := func(i int) netip.Addr { return netip.AddrFrom4([4]byte(b[i : i+4])) }
	var inner []netip.Addr
	switch {
	case translators.Contains(address):
		inner = behindTranslator(b, localUse.Contains(address))
	case sixToFour.Contains(address):
		inner = append(inner, at(2))
	case teredo.Contains(address): // the server, and the client with its bits inverted
		inner = append(inner, at(4), netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]}))
	case translated.Contains(address):
		inner = append(inner, at(12))
	case compatible.Contains(address) && !address.IsUnspecified() && address != loopback6:
		inner = append(inner, at(12))
	}
	// An interface identifier of ISATAP (RFC 5214) can follow any prefix.
	if b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe {
		inner = append(inner, at(12))
	}
	return inner
}

// behindTranslator returns what an address carries for every length that the translator's prefix may have: the address
// does not tell the length, and whoever chose it can fill in all positions. A position that holds an address of
// 0.0.0.0/8 is ignored, because no host has one, unless all positions do. A local-use prefix has at least 48 bits.
func behindTranslator(b [16]byte, local bool) []netip.Addr {
	positions := translatorBytes
	if local {
		positions = positions[2:]
	}
	var inner []netip.Addr
	for _, at := range positions {
		address := netip.AddrFrom4([4]byte{b[at[0]], b[at[1]], b[at[2]], b[at[3]]})
		if !thisNetwork.Contains(address) {
			inner = append(inner, address)
		}
	}
	if inner == nil {
		return []netip.Addr{netip.IPv4Unspecified()}
	}
	return inner
}
