package config_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"attendee-relay/config"
)

const (
	conninfo     = "postgres://relay:hunter2@db.example:5432/registration"
	firstSecret  = "whsec_dGhlIGZpcnN0IGtleSwgaW4gMzIgZ29vZCBieXRlcyE="
	secondSecret = "whsec_YW5kIHRoZSBzZWNvbmQga2V5LCBhbHNvIDMyIGxvbmc="
)

func TestLoadDefaults(t *testing.T) {
	t.Parallel()
	c, err := config.Load([]string{"DATABASE_URL=" + conninfo})
	if err != nil {
		t.Fatal(err)
	}
	if c.Database.URL.Reveal() != conninfo || c.Database.Pooled() || c.Database.MaxConns != 8 {
		t.Errorf("the database's settings are not the defaults: %+v", c.Database)
	}
	if c.Deployment != "default" || c.Replication.Table != "public.attendees" || c.Outbox.Repeat != "every" ||
		c.Delivery.Timeout != 15*time.Second || len(c.Delivery.RetrySchedule) != 9 || c.Admin.Addr != "127.0.0.1:8080" ||
		c.ShutdownTimeout != 30*time.Second || c.Log.Level != "info" || c.Log.Format != "json" {
		t.Errorf("not the defaults: %+v", c)
	}
}

func TestLoadValues(t *testing.T) {
	t.Parallel()
	c, err := config.Load([]string{
		"DATABASE_URL=" + conninfo,
		"DATABASE_REPLICATION_URL=host=direct.example user=relay",
		"DEPLOYMENT=staging",
		"SOURCE_ACCEPTED=Accepted , Paid",
		"DELIVERY_ALLOW_NETWORKS=10.0.0.0/8, fd00::/8",
		"DELIVERY_SIGNING_SECRETS=" + firstSecret + ", " + secondSecret,
		"DELIVERY_ENABLED=false",
		"DELIVERY_ENDPOINT_RATE=2.5",
		"ADMIN_ADDR=",
		"REPLICATION_SLOT= ",
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Database.ReplicationURL.Reveal(); got != "host=direct.example user=relay" {
		t.Errorf("DATABASE_REPLICATION_URL = %q", got)
	}
	if !slices.Equal(c.Replication.Accepted, []string{"Accepted", "Paid"}) {
		t.Errorf("SOURCE_ACCEPTED = %q", c.Replication.Accepted)
	}
	networks := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	if !slices.Equal(c.Delivery.AllowNetworks, networks) {
		t.Errorf("DELIVERY_ALLOW_NETWORKS = %v", c.Delivery.AllowNetworks)
	}
	if secrets := c.Delivery.SigningSecrets; len(secrets) != 2 || secrets[1].Reveal() != secondSecret {
		t.Errorf("DELIVERY_SIGNING_SECRETS has %d elements", len(secrets))
	}
	if c.Delivery.Enabled || c.Delivery.EndpointRate != 2.5 || c.Deployment != "staging" {
		t.Errorf("values were not taken over: %+v", c)
	}
	if c.Admin.Addr != "" {
		t.Errorf("ADMIN_ADDR set to nothing = %q, want no server", c.Admin.Addr)
	}
	if c.Replication.Slot != "attendee_relay" {
		t.Errorf("a blank REPLICATION_SLOT = %q, want the default", c.Replication.Slot)
	}
}

// Default URLs that messages can be sent to, by the settings beside them.
func TestLoadAcceptsDefaultURLs(t *testing.T) {
	t.Parallel()
	for url, settings := range map[string][]string{
		"https://x.example":                                nil,
		"https://x.example:8443/hook?a=b#top":              nil,
		"https://x.example/100%?event=Go Conf&miasto=Łódź": nil,
		"https://bücher.example/{}":                        nil,
		"\ufeffhttps://x.example/":                         nil,
		"http://x.example/":                                {"DELIVERY_ALLOW_HTTP=true"},
		"https://10.1.2.3/":                                {"DELIVERY_ALLOW_NETWORKS=10.0.0.0/8"},
		"http://localhost:9000/": {"DELIVERY_ALLOW_HTTP=true",
			"DELIVERY_ALLOW_NETWORKS=127.0.0.0/8"},
		"https://localhost/":          {"DELIVERY_ALLOW_NETWORKS=::1/128"},
		"https://[64:ff9b::a01:203]/": {"DELIVERY_ALLOW_NETWORKS=10.0.0.0/8,64:ff9b::/96"},
	} {
		environ := append([]string{"DATABASE_URL=" + conninfo, "DELIVERY_DEFAULT_URL=" + url}, settings...)
		if _, err := config.Load(environ); err != nil {
			t.Errorf("%s with %q: %v", url, settings, err)
		}
	}
}

func TestLoadReportsAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	faults := loadFaults(t, []string{
		"DATABASE_MAX_CONNS=1", "SOURCE_TABLE=x", "SOURCE_REPEAT=once", "DELIVERY_TIMEOUT=soon", "ADMIN_ADDR=x",
		"LOG_LEVEL=x", "LOG_COLOUR=red", "ADMIN_TOKEN_FILE=/nowhere", "SOURCE_QUERY=select", "SOURCE_QUERY_FILE=/dev/null",
	})
	for _, name := range []string{
		"ADMIN_TOKEN_FILE", "SOURCE_QUERY and SOURCE_QUERY_FILE", "DATABASE_URL", "DELIVERY_TIMEOUT", "DATABASE_MAX_CONNS",
		"SOURCE_TABLE", "SOURCE_REPEAT", "ADMIN_ADDR", "LOG_LEVEL:", "LOG_COLOUR",
	} {
		if !slices.ContainsFunc(faults, func(fault string) bool { return strings.HasPrefix(fault, name) }) {
			t.Errorf("nothing is said about %s in %q", name, faults)
		}
	}
	if len(faults) != 10 {
		t.Errorf("%d faults, want 10: %q", len(faults), faults)
	}
}

func TestLoadFromFiles(t *testing.T) {
	t.Parallel()
	c, err := config.Load([]string{
		"DATABASE_URL_FILE=" + file(t, conninfo+"\n"),
		"DATABASE_URL=", // blank is unset, so this is not a second source
		"DELIVERY_SIGNING_SECRETS_FILE=" + file(t, firstSecret+","+secondSecret+"\r\n"),
		"SOURCE_QUERY_FILE=" + file(t, "SELECT 1\n"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Database.URL.Reveal(); got != conninfo || c.Database.ReplicationURL.Reveal() != conninfo {
		t.Errorf("DATABASE_URL from a file = %q", got)
	}
	if secrets := c.Delivery.SigningSecrets; len(secrets) != 2 || secrets[1].Reveal() != secondSecret {
		t.Errorf("%d secrets from a file", len(secrets))
	}
	if c.Outbox.QueryFile == "" || c.Outbox.Query != "" {
		t.Errorf("SOURCE_QUERY_FILE must stay a path: file %q, text %q", c.Outbox.QueryFile, c.Outbox.Query)
	}
}

func TestLoadPassesByWhatIsNotOurs(t *testing.T) {
	t.Parallel()
	_, err := config.Load([]string{
		"DATABASE_URL=" + conninfo, "PATH=/bin", "HOME=/", "DATABASE=x", "PGHOST=db", "SOURCE_DATE_EPOCH=1", "no assignment",
		"DATABASE_PORT=tcp://10.0.0.1:5432", "DATABASE_SERVICE_HOST=10.0.0.1", "DATABASE_SERVICE_PORT_SQL=5432",
		"DELIVERY_PORT_8080_TCP_ADDR=10.0.0.2", "SOURCE_DB_SERVICE_PORT=1", "LOG_PORT_80_TCP=tcp://10.0.0.3:80",
	})
	if err != nil {
		t.Error(err)
	}
}

// A secret reaches no error, wherever it was put and however it is broken.
func TestErrorsNeverShowAValue(t *testing.T) {
	t.Parallel()
	const secret = "postgres://relay:hunter2@db:99999999/%zz"
	for _, name := range []string{
		"DATABASE_URL", "DATABASE_REPLICATION_URL", "DATABASE_MAX_CONNS", "DATABASE_URL_FILE", "DEPLOYMENT", "SOURCE_TABLE",
		"SOURCE_REPEAT", "SOURCE_QUERY_FILE", "REPLICATION_SLOT", "REPLICATION_TAKEOVER", "OUTBOX_RETENTION",
		"DELIVERY_ENABLED", "DELIVERY_RETRY_SCHEDULE", "DELIVERY_DEFAULT_URL", "DELIVERY_ALLOW_NETWORKS", "ADMIN_ADDR",
		"LOG_LEVEL", "LOG_OTHER",
	} {
		faults := loadFaults(t, []string{name + "=" + secret})
		if text := strings.Join(faults, "\n"); strings.Contains(text, "hunter2") || !strings.Contains(text, name) {
			t.Errorf("%s: %q", name, faults)
		}
	}
}

func loadFaults(t *testing.T, environ []string) []string {
	t.Helper()
	c, err := config.Load(environ)
	failed, ok := err.(*config.Error) //nolint:errorlint // the promise is this very type
	if !ok || c != nil {
		t.Fatalf("Load(%q) = %v, %v; want an *Error alone", environ, c, err)
	}
	for _, fault := range failed.Faults {
		if !strings.Contains(failed.Error(), fault) {
			t.Errorf("%q lacks %q", failed.Error(), fault)
		}
	}
	return failed.Faults
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "value")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSizes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"": 4 << 20, "4MiB": 4 << 20, "512KiB": 512 << 10, "1000000": 1_000_000, "32MiB": 32 << 20, "256": 256,
	} {
		c, err := config.Load([]string{"DATABASE_URL=" + conninfo, "OUTBOX_MAX_BODY=" + text})
		if err != nil || int64(c.Outbox.MaxBody) != want {
			t.Errorf("%q: %v, want %d", text, err, want)
		}
	}
}
