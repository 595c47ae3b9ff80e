package delivery

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// issued is a certificate with its key.
type issued struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// issue makes a certificate for 127.0.0.1, signed by its issuer or, without one, by itself.
func issue(t testing.TB, name string, by *issued, change ...func(*x509.Certificate)) *issued {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	for _, f := range change {
		f(template)
	}
	parent := &issued{template, key}
	if by != nil {
		parent = by
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent.certificate, key.Public(), parent.key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &issued{certificate, key}
}

func authority(c *x509.Certificate) { c.IsCA, c.IPAddresses, c.ExtKeyUsage = true, nil, nil }

// authorityFile writes certificates as DELIVERY_CA_FILE names them.
func authorityFile(t testing.TB, certificates ...*issued) string {
	t.Helper()
	var text []byte
	for _, c := range certificates {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.certificate.Raw})...)
	}
	path := filepath.Join(t.TempDir(), "authorities.pem")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// presenting starts a server that sends its own certificate and then the others.
func presenting(t testing.TB, own *issued, others ...*issued) string {
	t.Helper()
	server := httptest.NewUnstartedServer(status(http.StatusNoContent))
	server.Config.ErrorLog = quiet()
	certificate := tls.Certificate{Certificate: [][]byte{own.certificate.Raw}, PrivateKey: own.key}
	for _, c := range others {
		certificate.Certificate = append(certificate.Certificate, c.certificate.Raw)
	}
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

func TestACertificateThatIsRefusedSaysWhatToDo(t *testing.T) {
	t.Parallel()
	past := func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	}
	future := func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
	}
	root := issue(t, "root", nil, authority)
	stranger := issue(t, "stranger", nil, authority)
	middle := issue(t, "intermediate", root, authority)
	lower := issue(t, "lower intermediate", middle, authority)
	const missing = "tls: the server does not send its intermediate certificate, or its authority is unknown " +
		"(DELIVERY_CA_FILE)"
	const unknown = "tls: the certificate is signed by an unknown authority (DELIVERY_CA_FILE), or an intermediate " +
		"certificate is missing"
	for name, c := range map[string]struct {
		own    *issued
		others []*issued
		want   string
	}{
		"the whole chain":                {issue(t, "own", middle), []*issued{middle}, ""},
		"the whole chain, in odd order":  {issue(t, "own", lower), []*issued{root, middle, lower}, ""},
		"directly by the root":           {issue(t, "own", root), nil, ""},
		"the intermediate is missing":    {issue(t, "own", middle), nil, missing},
		"another's intermediate is sent": {issue(t, "own", lower), []*issued{middle}, missing},
		"the upper intermediate missing": {issue(t, "own", lower), []*issued{lower}, unknown},
		"a stranger's":                   {issue(t, "own", stranger), []*issued{stranger}, unknown},
		"self-signed": {issue(t, "own", nil), nil,
			"tls: the certificate is self-signed; DELIVERY_CA_FILE can make the relay trust it"},
		"expired": {issue(t, "own", middle, past), []*issued{middle},
			"tls: the certificate has expired"},
		"not valid yet": {issue(t, "own", middle, future), []*issued{middle},
			"tls: the certificate is not valid yet"},
		"an intermediate that is expired": {},
		"for another host": {issue(t, "own", middle, func(c *x509.Certificate) {
			c.IPAddresses, c.DNSNames = nil, []string{"h.example"}
		}),
			[]*issued{middle}, "tls: the certificate is for another host name"},
		"for no host": {issue(t, "127.0.0.1", middle, func(c *x509.Certificate) { c.IPAddresses = nil }),
			[]*issued{middle}, "tls: the certificate is for another host name"},
		"for clients": {issue(t, "own", middle, func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}),
			[]*issued{middle}, "tls: the certificate is not one for servers"},
	} {
		if c.own == nil {
			old := issue(t, "old intermediate", root, authority, past)
			c.own, c.others, c.want = issue(t, "own", old), []*issued{old},
				"tls: a certificate that the server's own depends on has expired"
		}
		s := newTestSender(t, func(cfg *Config) { cfg.CAFile = authorityFile(t, root) })
		x := s.Send(t.Context(), newMessage(presenting(t, c.own, c.others...)))
		if x.Attempt.Error != c.want {
			t.Errorf("%s: %q, want %q", name, x.Attempt.Error, c.want)
		}
	}
}

func TestAClientCertificateThatIsMissingIsNamed(t *testing.T) {
	t.Parallel()
	for version, want := range map[uint16]string{
		tls.VersionTLS12: "tls: the server refused the handshake: it shares no cipher with the relay, or asks for a client " +
			"certificate",
		tls.VersionTLS13: "tls: the server asks for a client certificate, and the relay has none",
	} {
		server := httptest.NewUnstartedServer(status(http.StatusNoContent))
		server.Config.ErrorLog = quiet()
		server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MaxVersion: version}
		server.StartTLS()
		t.Cleanup(server.Close)
		x := trusting(t, server).Send(t.Context(), newMessage(server.URL))
		if x.Attempt.Error != want {
			t.Errorf("%s: %+v", tls.VersionName(version), x)
		}
	}
}

func TestTheSystemsAuthoritiesStay(t *testing.T) {
	t.Parallel()
	system, err := x509.SystemCertPool()
	if err != nil {
		t.Skipf("skipped: this machine has no certificate authorities of its own: %v", err)
	}
	own := issue(t, "own", nil, authority)
	pool, err := authorities(authorityFile(t, own))
	if err != nil {
		t.Fatal(err)
	}
	system.AddCert(own.certificate)
	if !pool.Equal(system) {
		t.Error("the pool is not the system's and the file's")
	}
}

func TestAFileOfAuthoritiesIsReadWholeOrRefused(t *testing.T) {
	t.Parallel()
	one, two := issue(t, "one", nil, authority), issue(t, "two", nil, authority)
	good, err := os.ReadFile(authorityFile(t, one, two))
	if err != nil {
		t.Fatal(err)
	}
	broken := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("no certificate")})
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("key")})
	for name, c := range map[string]struct{ text, want string }{
		"two":                     {string(good), ""},
		"with comments and a key": {"# ours\n" + string(key) + string(good), ""},
		"with Windows line ends":  {strings.ReplaceAll(string(good), "\n", "\r\n"), ""},
		"one that is none":        {string(slices.Concat(good, broken)), "certificate 3 in it cannot be read"},
		"one that is cut":         {string(good[:len(good)-40]), "a certificate in it is damaged"},
		"one with a wrong letter": {strings.Replace(string(good), "\nM", "\n!", 1), "a certificate in it is damaged"},
		"a key":                   {string(key), "there is no certificate in it"},
		"binary":                  {string(one.certificate.Raw), "there is no certificate in it"},
		"nothing":                 {"", "it is empty"},
	} {
		path := filepath.Join(t.TempDir(), "hunter2.pem")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		faults := testConfig(func(cfg *Config) { cfg.CAFile = path }).Validate()
		switch {
		case c.want == "" && len(faults) > 0:
			t.Errorf("%s: %v", name, faults)
		case c.want != "" && (len(faults) != 1 ||
			!strings.HasPrefix(faults[0].Error(), "DELIVERY_CA_FILE names a file that cannot be used: "+c.want)):
			t.Errorf("%s: %v, want %q", name, faults, c.want)
		case len(faults) > 0 && strings.Contains(faults[0].Error(), "hunter2"):
			t.Errorf("%s: the path shows in %v", name, faults)
		}
	}
}
