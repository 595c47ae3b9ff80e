package relaytest

import (
	"net/url"
	"testing"

	"attendee-relay/internal/cutproxy"
	"attendee-relay/internal/pgtest"
)

// Proxy opens a proxy before a test's database.
func Proxy(t *testing.T, db *pgtest.DB) *cutproxy.Proxy {
	t.Helper()
	u, err := url.Parse(db.URL())
	if err != nil {
		t.Fatalf("reading the test's database URL: %v", err)
	}
	return cutproxy.New(t, u.Host)
}

// Through is the setting with which a relay reaches a test's database by way of a proxy only.
func Through(t *testing.T, db *pgtest.DB, p *cutproxy.Proxy) string {
	t.Helper()
	return "DATABASE_URL=" + db.By(t, p.Addr()).URL()
}
