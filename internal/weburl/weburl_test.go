package weburl_test

import (
	"errors"
	"strings"
	"testing"

	"attendee-relay/internal/weburl"
)

func TestParseReadsAsABrowser(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"https://h.example":                              "h.example /",
		"https://h.example/hook?event=Go Conf":           "h.example /hook?event=Go%20Conf",
		"https://h.example/?miasto=Łódź":                 "h.example /?miasto=%C5%81%C3%B3d%C5%BA",
		"https://h.example/a b/Łódź":                     "h.example /a%20b/%C5%81%C3%B3d%C5%BA",
		`https://h.example/{}|"^<>` + "`":                "h.example /%7B%7D%7C%22%5E%3C%3E%60",
		`https://h.example/?{}|"^<>` + "`'":              "h.example /?%7B%7D%7C%22%5E%3C%3E%60%27",
		"https://h.example/a%20b%2Fc?d=%C5%81&e=%2f":     "h.example /a%20b%2Fc?d=%C5%81&e=%2f",
		"https://h.example/100%?sale=100%&more=%zz%4":    "h.example /100%25?sale=100%25&more=%25zz%254",
		"https://h.example/?a[]=1&b=(c)*!$;,:@/?~+":      "h.example /?a[]=1&b=(c)*!$;,:@/?~+",
		"https://h.example/[a]":                          "h.example /%5Ba%5D",
		`https://h.example\hook\a?b=\c`:                  "h.example /hook/a?b=%5Cc",
		"https://h.example/a/../b/./c/%2e%2E/d":          "h.example /b/d",
		"https://h.example/a//b/":                        "h.example /a//b/",
		"https://h.example/hook#top":                     "h.example /hook",
		"https://h.example/hook?#top":                    "h.example /hook?",
		"https://h.example?a=b":                          "h.example /?a=b",
		"HTTPS://H.EXAMPLE:443/":                         "h.example /",
		"http://h.example:80/":                           "h.example /",
		"http://h.example:443/":                          "h.example:443 /",
		"https://Bücher.example/":                        "xn--bcher-kva.example /",
		"https://żółć.pl:8443/":                          "xn--kda4b0koi.pl:8443 /",
		"https://faß.example":                            "xn--fa-hia.example /",
		"https://登録。example/":                            "xn--7wyo62d.example /",
		"https://h.example/ho\r\nok?a=\tb":               "h.example /hook?a=b",
		"https://h_1.example":                            "h_1.example /",
		"https://2130706433":                             "127.0.0.1 /",
		"https://0x7f.1/":                                "127.0.0.1 /",
		"https://１２７.０.０.１":                              "127.0.0.1 /",
		"https://[::1]:8443/":                            "[::1]:8443 /",
		"https://[0:0:0:0:0:FFFF:7f00:1]":                "[::ffff:7f00:1] /",
		"https:h.example/hook":                           "h.example /hook",
		"https://h.example/\xff":                         "h.example /%EF%BF%BD",
		"https://h.example/❤\ufe0f":                      "h.example /%E2%9D%A4%EF%B8%8F",
		"https://h.example/?" + strings.Repeat(" é", 2):  "h.example /?%20%C3%A9%20%C3%A9",
		"https://@h.example/":                            "h.example /",
		"https://h.example/?mail=a@b.example&u=http://x": "h.example /?mail=a@b.example&u=http://x",
	} {
		u, err := weburl.Parse(url)
		if got := u.Authority() + " " + u.Target(); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", url, got, err, want)
		}
		if u.Credentials {
			t.Errorf("%q: it has no credentials", url)
		}
	}
}

func TestWhatCannotBeSeenAtTheEndsIsDropped(t *testing.T) {
	t.Parallel()
	for _, end := range []string{" ", "\t\r\n", "\ufeff", "\u00a0", "\u200b", "\u200c", "\u200d", "\u200e", "\u200f",
		"\u202a", "\u202e", "\u2060", "\u2066",
		"\u2069", "\u00ad", "\u034f", "\u061c", "\u115f", "\u17b4", "\u180e", "\u2028", "\u2029", "\u2800", "\u3000",
		"\u3164", "\uffa0", "\ufff9", "\U000e0001", "\x00", "\x1f", "\x7f", "\u0085", " \ufeff\u200b \n"} {
		u, err := weburl.Parse(end + "https://h.example/hook?a=b" + end)
		if got := u.Authority() + u.Target(); err != nil || got != "h.example/hook?a=b" {
			t.Errorf("%q at the ends: %q, %v", end, got, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]error{
		"":                          weburl.ErrEmpty,
		" \ufeff\n":                 weburl.ErrEmpty,
		"h.example/hook":            weburl.ErrScheme,
		"h.example:8443/hook":       weburl.ErrScheme,
		"//h.example":               weburl.ErrScheme,
		"ftp://h.example":           weburl.ErrScheme,
		"javascript:alert(1)":       weburl.ErrScheme,
		"https":                     weburl.ErrScheme,
		"https:":                    weburl.ErrHost,
		"https://":                  weburl.ErrHost,
		"https://?a":                weburl.ErrHost,
		"https://:443":              weburl.ErrHost,
		"https://user@":             weburl.ErrHost,
		"https://exa mple.org":      weburl.ErrHost,
		"https://exa%20mple.org":    weburl.ErrHost,
		"https://a%zz":              weburl.ErrHost,
		"https://256.1.1.1":         weburl.ErrHost,
		"https://1.2.3.4.5":         weburl.ErrHost,
		"https://[::1":              weburl.ErrHost,
		"https://[::1%25lo]":        weburl.ErrHost,
		"https://h.example\x01.org": weburl.ErrHost,
		"https://xn--a":             weburl.ErrHost,
		"https://h.example:port":    weburl.ErrPort,
		"https://h.example:65536":   weburl.ErrPort,
		"https://h.example:-1":      weburl.ErrPort,
	} {
		if u, err := weburl.Parse(url); !errors.Is(err, want) {
			t.Errorf("%q: %+v, %v; want %v", url, u, err, want)
		}
	}
	for _, url := range []string{"https://user@h.example", "https://user:hunter2@h.example", "https://:hunter2@h.example",
		"https://a@b@h.example"} {
		if u, err := weburl.Parse(url); err != nil || !u.Credentials || u.Authority() != "h.example" {
			t.Errorf("%q: %+v, %v", url, u, err)
		}
	}
}

func TestAddressHasAPort(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{"https://h.example": "h.example:443", "http://h.example": "h.example:80",
		"http://[::1]": "[::1]:80", "https://[::1]:8443": "[::1]:8443"} {
		if u, err := weburl.Parse(url); err != nil || u.Address() != want {
			t.Errorf("%s: %q, %v; want %q", url, u.Address(), err, want)
		}
	}
}

// What is parsed is printable ASCII, and is parsed again to the same.
func FuzzParse(f *testing.F) {
	for _, url := range []string{"https://h.example/a b?c=ł", "http://0x7f.1\\..", "https://[::ffff:1.2.3.4]:80/%",
		"https://xn--bcher-kva.de/?%zz#x"} {
		f.Add(url)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := weburl.Parse(text)
		if err != nil {
			return
		}
		sent := u.Authority() + u.Target()
		if !strings.HasPrefix(u.Path, "/") || strings.ContainsFunc(sent, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Fatalf("%q: sent as %q", text, sent)
		}
		again, err := weburl.Parse(map[bool]string{true: "https://", false: "http://"}[u.TLS] + sent)
		u.Credentials = false
		if err != nil || again != u {
			t.Fatalf("%q: %+v, read again %+v, %v", text, u, again, err)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := weburl.Parse("https://hooks.example.com/services/T1/B2?event=Go%20Conf"); err != nil {
			b.Fatal(err)
		}
	}
}
