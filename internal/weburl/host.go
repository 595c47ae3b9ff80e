package weburl

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
)

// names is the standard's "domain to ASCII" without beStrict: UTS #46, non-transitional.
var names = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false),
	idna.CheckHyphens(false), idna.CheckJoiners(true), idna.BidiRule(), idna.VerifyDNSLength(false))

// forbidden are the standard's forbidden domain code points but for the control characters.
const forbidden = " #/:<>?@[\\]^|%\x7f"

// host returns a host as it is sent. One that ends in a number is an IPv4 address, whatever its notation.
func host(text string) (string, error) {
	if inner, ok := strings.CutPrefix(text, "["); ok {
		return ipv6(inner)
	}
	name, err := domain(text)
	if err != nil {
		return "", err
	}
	control := func(r rune) bool { return r < ' ' }
	if name == "" || strings.ContainsAny(name, forbidden) || strings.ContainsFunc(name, control) {
		return "", ErrHost
	}
	if endsInNumber(name) {
		return ipv4(name)
	}
	return name, nil
}

// domain decodes escapes and returns the name in ASCII and lower case.
func domain(text string) (string, error) {
	if strings.Contains(text, "%") {
		decoded, err := url.PathUnescape(encode(text, text)) // a percent sign that begins no escape is taken literally
		if err != nil {
			return "", ErrHost
		}
		text = strings.ToValidUTF8(decoded, "\uFFFD")
	}
	plain := !strings.ContainsFunc(text, func(r rune) bool { return r > '~' })
	lower := strings.ToLower(text)
	if plain && !strings.HasPrefix(lower, "xn--") && !strings.Contains(lower, ".xn--") {
		return lower, nil
	}
	name, err := names.ToASCII(text)
	if err != nil {
		return "", ErrHost
	}
	return name, nil
}

// ipv6 reads an address whose opening bracket is taken off. One that carries an IPv4 address is written in hexadecimal.
func ipv6(text string) (string, error) {
	inner, closed := strings.CutSuffix(text, "]")
	address, err := netip.ParseAddr(inner)
	if !closed || err != nil || !address.Is6() || address.Zone() != "" {
		return "", ErrHost
	}
	if address.Is4In6() {
		b := address.As16()
		return fmt.Sprintf("[::ffff:%x:%x]", uint16(b[12])<<8|uint16(b[13]), uint16(b[14])<<8|uint16(b[15])), nil
	}
	return "[" + address.String() + "]", nil
}

// endsInNumber reports whether the last label, or the one before a closing dot, is a number.
func endsInNumber(name string) bool {
	name = strings.TrimSuffix(name, ".")
	last := name[strings.LastIndexByte(name, '.')+1:]
	if last != "" && strings.Trim(last, "0123456789") == "" {
		return true
	}
	_, ok := number(last)
	return ok
}

// ipv4 reads one to four numbers, of which the last fills the bytes that are left.
func ipv4(name string) (string, error) {
	parts := strings.Split(strings.TrimSuffix(name, "."), ".")
	if len(parts) > 4 {
		return "", ErrHost
	}
	var address int64
	for i, part := range parts {
		value, ok := number(part)
		free := int64(1) << 8
		if i == len(parts)-1 {
			free = 1 << (8 * (5 - len(parts)))
		}
		if !ok || value >= free {
			return "", ErrHost
		}
		address = address*free + value
	}
	b := [4]byte{byte(address >> 24), byte(address >> 16), byte(address >> 8), byte(address)}
	return netip.AddrFrom4(b).String(), nil
}

// number reads a decimal, octal (0) or hexadecimal (0x) number; one too large for an address stays too large.
func number(text string) (int64, bool) {
	base, digits := int64(10), text
	switch {
	case len(text) >= 2 && (text[:2] == "0x" || text[:2] == "0X"):
		base, digits = 16, text[2:]
	case len(text) >= 2 && text[0] == '0':
		base, digits = 8, text[1:]
	}
	var value int64
	for _, digit := range digits {
		d := int64(strings.IndexRune("0123456789abcdef", unicode.ToLower(digit)))
		if d < 0 || d >= base {
			return 0, false
		}
		value = min(value*base+d, 1<<32)
	}
	return value, text != ""
}
