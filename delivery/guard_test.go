package delivery

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Addresses that no organiser's URL may reach, in every range that is not public unicast.
var notPublic = []string{
	"0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "100.127.255.255", "127.0.0.1",
	"127.1.2.3", "169.254.0.1", "169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255", "192.0.0.1",
	"192.0.0.192", "192.0.2.1", "192.31.196.1", "192.52.193.1", "192.88.99.1", "192.168.0.1", "192.175.48.1",
	"198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1",
	"255.255.255.255", "168.63.129.16",
	"::", "::1", "::127.0.0.1", "::ffff:0.0.0.0", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
	"::ffff:168.63.129.16", "::ffff:7f00:1", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
	"64:ff9b::8.8.8.8", "64:ff9b:1::1", "64:ff9b:1::7f00:1", "100::1", "100:0:0:1::1", "2001::1", "2001:0:4136:e378::1",
	"2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "2620:4f:8000::1",
	"3fff::1", "4000::1", "5f00::1", "fc00::1", "fd00::1", "fd00:ec2::254", "fd20:ce::254", "fe80::1", "fe80::1%lo",
	"fe80::1%25", "fec0::1", "ff02::1", "ff0e::1", "2606:4700::1%lo",
}

var public = []string{
	"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
	"168.63.129.15", "168.63.129.17", "169.253.255.255", "172.15.255.255", "172.32.0.0", "192.167.255.255",
	"223.255.255.255", "::ffff:8.8.8.8", "2606:4700:4700::1111", "2a00:1450:4014:80e::200e",
}

func TestOnlyPublicUnicastAddressesPass(t *testing.T) {
	t.Parallel()
	g := newGuard(nil, nil)
	for _, address := range notPublic {
		err := g.control("tcp6", netip.AddrPortFrom(netip.MustParseAddr(address), 443).String(), nil)
		if !errors.Is(err, errNotPublic) {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, address := range public {
		if err := g.control("tcp4", netip.AddrPortFrom(netip.MustParseAddr(address), 8443).String(), nil); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, network := range []string{"udp4", "unix", "tcp", ""} {
		if err := g.control(network, "8.8.8.8:443", nil); !errors.Is(err, errNotPublic) {
			t.Errorf("over %q: %v", network, err)
		}
	}
	for _, address := range []string{"", "8.8.8.8", "example.org:443", "8.8.8.8:https"} {
		if err := g.control("tcp4", address, nil); !errors.Is(err, errNotPublic) {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestAllowedNetworksOpenJustThemselves(t *testing.T) {
	t.Parallel()
	for network, want := range map[string]string{
		"127.0.0.0/8":         "127.0.0.1 127.1.2.3 ::ffff:127.0.0.1 ::ffff:7f00:1",
		"10.0.0.1/32":         "10.0.0.1 ::ffff:10.0.0.1",
		"::ffff:10.0.0.0/104": "",
		"168.63.129.16/32":    "168.63.129.16 ::ffff:168.63.129.16",
		"::1/128":             "::1",
		"fe80::/10":           "fe80::1 fe80::1%lo fe80::1%25",
		"2606:4700::1/128":    "2606:4700::1%lo",
		"64:ff9b::/96":        "64:ff9b::8.8.8.8", // and nothing private behind the translator
		"64:ff9b:1::/48":      "",
		"64:ff9b::/32":        "64:ff9b::8.8.8.8",
		"::/0": ":: ::1 64:ff9b::8.8.8.8 100::1 100:0:0:1::1 2001:2::1 2001:10::1 2001:20::1 2001:db8::1 2620:4f:8000::1 " +
			"3fff::1 4000::1 5f00::1 fc00::1 fd00::1 fd00:ec2::254 fd20:ce::254 fe80::1 fe80::1%lo fe80::1%25 fec0::1 ff02::1 " +
			"ff0e::1 2606:4700::1%lo",
		"fd00:ec2::254/128":    "fd00:ec2::254",
		"2002::/16":            "",
		"2001::/32":            "",
		"203.0.113.0/24":       "203.0.113.1",
		"2606:4700:4700::/48":  "",
		"::ffff:127.0.0.1/128": "",
	} {
		g := newGuard([]netip.Prefix{netip.MustParsePrefix(network)}, nil)
		var opened []string
		for _, address := range notPublic {
			if g.check(netip.MustParseAddr(address)) == nil {
				opened = append(opened, address)
			}
		}
		if got := strings.Join(opened, " "); got != want {
			t.Errorf("%s opens %q, want %q", network, got, want)
		}
		for _, address := range public {
			if err := g.check(netip.MustParseAddr(address)); err != nil {
				t.Errorf("%s closes %s", network, address)
			}
		}
	}
}

// TestNoSpellingReachesAListener sends to listeners on this machine by every spelling of its address. The resolver
// answers every name with 127.0.0.1, as C libraries do for numbers in odd bases, and as a hostile zone would.
func TestNoSpellingReachesAListener(t *testing.T) {
	t.Parallel()
	port, connections := silentListeners(t)
	s := newTestSender(t, func(c *Config) { c.AllowNetworks, c.Timeout = nil, 2*time.Second })
	s.connector.dialer.Resolver = fakeResolver(func(int64) netip.Addr { return netip.MustParseAddr("127.0.0.1") })

	hosts := []string{
		"127.0.0.1", "127.1", "127.0.1", "0", "0.0.0.0", "2130706433", "017700000001", "0x7f000001", "0x7f.1",
		"0x7f.0x0.0x0.0x1", "0177.0.0.1", "0177.1", "127.0.0.01", "127.000.000.001", "00000177.0.0.1", "127.0.0.1.",
		"0x7F.0.1", "4294967295.example", "localhost", "LOCALHOST", "localhost.", "localtest.me", "127.0.0.1.nip.io",
		"metadata.google.internal", "１２７.０.０.１", "①②⑦.⓪.⓪.①", "127。0。0。1", "bücher.example", "xn--bcher-kva.example",
		"%31%32%37.0.0.1", "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::0001]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
		"[0:0:0:0:0:ffff:7f00:0001]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]",
		"[fe80::1%25lo]", "[::1%25lo]", "[fec0::1]", "[ff02::1%25lo]",
	}
	for _, scheme := range []string{"http", "https"} {
		for _, host := range hosts {
			x := s.Send(t.Context(), newMessage(scheme+"://"+host+":"+port+"/hook?token=hunter2"))
			if x.Attempt.Status != 0 || x.Attempt.Error == "" || strings.Contains(x.Attempt.Error, "hunter2") {
				t.Errorf("%s://%s: %+v", scheme, host, x)
			}
			// Go's own resolver takes a number in an odd base for no name at all; an IPv6 address fails before the guard
			// where the machine has no IPv6.
			switch why := x.Attempt.Error; {
			case why == errNotPublic.Error(), why == errURLHost.Error():
			case strings.HasPrefix(host, "["):
			default:
				t.Errorf("%s://%s: %q", scheme, host, why)
			}
		}
	}
	if n := connections.Load(); n != 0 {
		t.Errorf("%d connections reached the listeners", n)
	}
}

func TestURLsAreRefusedBeforeDialling(t *testing.T) {
	t.Parallel()
	port, connections := silentListeners(t)
	at := "127.0.0.1:" + port
	for url, want := range map[string]*Refusal{
		"":                                 errURLScheme,
		"\ufeff":                           errURLScheme,
		"   ":                              errURLScheme,
		"/hook":                            errURLScheme,
		at + "/hook":                       errURLScheme,
		"//" + at + "/hook":                errURLScheme,
		"http://" + at + "/hook":           errURLPlain,
		"\ufeffHTTP://" + at + "/hook":     errURLPlain,
		"ftp://" + at + "/hook":            errURLScheme,
		"file:///etc/passwd":               errURLScheme,
		"gopher://" + at + "/_x":           errURLScheme,
		"unix:///var/run/docker.sock":      errURLScheme,
		"javascript:alert(1)":              errURLScheme,
		"https:":                           errURLHost,
		"https://?hook":                    errURLHost,
		"https:" + at + "/hook":            errNotPublic,
		"https:///" + at + "/hook":         errNotPublic,
		"https://:443/hook":                errURLHost,
		"https://user@" + at:               errURLUserinfo,
		"https://user:hunter2@" + at:       errURLUserinfo,
		"https://:hunter2@" + at:           errURLUserinfo,
		"https://example.org:443@" + at:    errURLUserinfo,
		"https://" + at + "\\@example.org": errNotPublic,
		"https://[::1":                     errURLHost,
		"https://example.org:port":         errURLPort,
		"https://example.org:0":            errURLPort,
		"https://exa mple.org":             errURLHost,
		"https://exam\x00ple.org/":         errURLHost,
		"https://" + at + "/" + strings.Repeat("x", maxURL): errURLLength,
	} {
		s := newTestSender(t, func(c *Config) { c.AllowHTTP, c.AllowNetworks = false, nil })
		x := s.Send(t.Context(), newMessage(url))
		if x.Reason != reasonRefused || x.Attempt.Error != want.Error() {
			t.Errorf("%.60q: %q, want %q", url, x.Attempt.Error, want)
		}
	}
	if n := connections.Load(); n != 0 {
		t.Errorf("%d connections reached the listeners", n)
	}
}

func TestAnAnswerThatChangesBetweenLookUpAndDialIsRefused(t *testing.T) {
	t.Parallel()
	port, connections := silentListeners(t)
	allow := func(c *Config) { c.AllowNetworks = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")} }
	s := newTestSender(t, allow)
	dialer := s.connector.dialer
	// The first answer would pass a check made before dialling; the one that the dial gets leads home.
	dialer.Resolver = fakeResolver(func(query int64) netip.Addr {
		if query == 1 {
			return netip.MustParseAddr("198.51.100.7")
		}
		return netip.MustParseAddr("127.0.0.1")
	})
	if addresses, err := dialer.Resolver.LookupNetIP(t.Context(), "ip4", "rebind.example"); err != nil ||
		addresses[0] != netip.MustParseAddr("198.51.100.7") {
		t.Fatalf("the first look-up: %v, %v", addresses, err)
	}
	if x := s.Send(t.Context(), newMessage("http://rebind.example:"+port)); x.Attempt.Error != errNotPublic.Error() {
		t.Errorf("%+v", x)
	}
	if n := connections.Load(); n != 0 {
		t.Errorf("%d connections reached the listeners", n)
	}
}

func TestProxiesFromTheEnvironmentAreNotAsked(t *testing.T) {
	port, connections := silentListeners(t)
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"} {
		t.Setenv(name, "http://127.0.0.1:"+port)
	}
	s := newTestSender(t, func(c *Config) { c.AllowNetworks = nil })
	if s.transport.Proxy != nil {
		t.Error("a proxy is configured")
	}
	if x := s.Send(t.Context(), newMessage("http://10.0.0.1/hook")); x.Attempt.Error != errNotPublic.Error() {
		t.Errorf("%+v", x)
	}
	if n := connections.Load(); n != 0 {
		t.Errorf("%d connections reached the proxy", n)
	}
}

// silentListeners listens on one port of every loopback address there is and counts who comes.
func silentListeners(t testing.TB) (port string, connections *atomic.Int64) {
	t.Helper()
	connections = &atomic.Int64{}
	serve := func(l net.Listener) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				connections.Add(1)
				_ = c.Close()
			}
		}()
		t.Cleanup(func() { _ = l.Close(); <-done })
	}
	four, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve(four)
	_, port, _ = net.SplitHostPort(four.Addr().String())
	if six, err := net.Listen("tcp6", "[::1]:"+port); err == nil {
		serve(six)
	}
	return port, connections
}

// fakeResolver is a DNS server that knows one address for every name; address gets the number of the A query.
func fakeResolver(address func(query int64) netip.Addr) *net.Resolver {
	var queries atomic.Int64
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			var size [2]byte
			for {
				if _, err := io.ReadFull(server, size[:]); err != nil {
					return
				}
				query := make([]byte, binary.BigEndian.Uint16(size[:]))
				if _, err := io.ReadFull(server, query); err != nil {
					return
				}
				reply := dnsReply(query, func() netip.Addr { return address(queries.Add(1)) })
				reply = append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)
				if _, err := server.Write(reply); err != nil {
					return
				}
			}
		}()
		return client, nil
	}}
}

// dnsReply answers one question (RFC 1035): an A record, or for another type none.
func dnsReply(query []byte, address func() netip.Addr) []byte {
	const header, typeA = 12, 1
	end := header
	for query[end] != 0 {
		end += int(query[end]) + 1
	}
	question := query[header : end+5]
	isA := binary.BigEndian.Uint16(query[end+1:]) == typeA
	reply := append([]byte{query[0], query[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, question...)
	if isA {
		reply[7] = 1
		four := address().As4()
		reply = append(append(reply, 0xc0, header, 0, typeA, 0, 1, 0, 0, 0, 0, 0, 4), four[:]...)
	}
	return reply
}
