package lab

import (
	_ "embed"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"attendee-relay/internal/cutproxy"
	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

const (
	maxConns = 8
	takeover = 2 * time.Second
	timeout  = time.Second
	// retries is how often a message is tried again, a second apart: no fault lasts that long, so none ends dead.
	retries = 300
)

//go:embed payload.sql
var payload string

// relay is one of the processes that share the database, through all its restarts. It logs in to Postgres with a role
// of its own, by which its sessions are told from the others', and works as the role that all share; it has a proxy of
// its own on the way there.
type relay struct {
	*relaytest.Relay
	number  int
	role    string
	environ []string
	proxy   *cutproxy.Proxy
	pid     atomic.Int64 // 0: it does not run
	struck  bool         // by a fault that is not healed yet
}

func (l *laboratory) newRelay(number int) *relay {
	l.t.Helper()
	r := &relay{number: number, role: fmt.Sprintf("relay_%d", number)}
	address, err := url.Parse(l.db.URL())
	if err != nil {
		l.t.Fatal(err)
	}
	password, _ := address.User.Password()
	l.db.Exec(l.t, fmt.Sprintf("create role %s replication login password '%s' in role %s, pg_signal_backend", r.role,
		password, pgtest.Role))
	l.db.Exec(l.t, fmt.Sprintf("alter role %s set role = '%s'", r.role, pgtest.Role))
	r.proxy = cutproxy.New(l.t, address.Host)
	address.User, address.Host = url.UserPassword(r.role, password), r.proxy.Addr()
	r.environ = append(relaytest.Environ(l.db),
		"DATABASE_URL="+address.String(),
		fmt.Sprint("DATABASE_MAX_CONNS=", maxConns),
		"SOURCE_QUERY="+payload,
		fmt.Sprint("REPLICATION_TAKEOVER=", takeover),
		fmt.Sprint("DELIVERY_TIMEOUT=", timeout),
		"DELIVERY_RETRY_SCHEDULE="+strings.TrimSuffix(strings.Repeat("1s,", retries), ","),
		"DELIVERY_BREAKER_PROBE=1s",
		"SHUTDOWN_TIMEOUT=5s",
		"LOG_LEVEL=info",
	)
	return r
}

func (r *relay) start(t *testing.T) {
	t.Helper()
	r.Relay = relaytest.RunWith(t, r.environ)
	r.pid.Store(int64(r.PID()))
}

// retire is called when the process is to be dead, and keeps its log if that is wanted.
func (r *relay) retire(t *testing.T) {
	t.Helper()
	r.pid.Store(0)
	keep(t, r.role, r.Retire(t))
}

// keep appends to a log in the directory that was asked for.
func keep(t *testing.T, name, text string) {
	t.Helper()
	if *logsIn == "" {
		return
	}
	file, err := os.OpenFile(filepath.Join(*logsIn, name+".log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = file.WriteString(text)
		_ = file.Close()
	}
	if err != nil {
		t.Errorf("keeping the log of %s: %v", name, err)
	}
}

// rss returns the most memory the process ever had, in KiB; 0 where Linux's /proc is not.
func (r *relay) rss() int {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.pid.Load()))
	for line := range strings.Lines(string(status)) {
		var kib int
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kib); n == 1 {
			return kib
		}
	}
	return 0
}
