// Package pgbouncer puts a real PgBouncer before a test's database.
//
// It turns the program that is installed on this machine into a pooler that one test owns, can stop and start again,
// and promises that it is gone when the test ends. Where PgBouncer is not installed the test is skipped. Only tests
// import it.
package pgbouncer

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/tcptest"
)

// Pooler is a PgBouncer before one database.
type Pooler struct {
	db      *pgtest.DB
	dir     string
	address string
	running *process
}

// process is a running PgBouncer; done is closed when it has ended.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
}

// Start starts a PgBouncer in one of its modes (session, transaction, statement) before db, with these further
// settings. It gives all clients of a role one session with the server, so that each gets what the others left.
func Start(t testing.TB, db *pgtest.DB, mode string, settings ...string) *Pooler {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer" // not in everybody's PATH
	}
	if _, err := os.Stat(program); err != nil {
		t.Skip("PgBouncer is not installed, so this test does not run; on Debian: apt-get install pgbouncer")
	}
	dir, err := os.MkdirTemp("", "pgbouncer-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p := &Pooler{db: db, dir: dir, address: tcptest.FreeAddr(t)}
	p.Configure(t, mode, settings...)
	t.Cleanup(func() { p.Stop(t) })
	p.start(t, program)
	return p
}

// Configure writes the configuration that the process has from its next start on.
func (p *Pooler) Configure(t testing.TB, mode string, settings ...string) {
	t.Helper()
	server, users := parsed(t, p.db.URL()), ""
	for _, address := range []string{p.db.URL(), p.db.OwnerURL()} {
		u := parsed(t, address).User
		password, _ := u.Password()
		users += fmt.Sprintf("%q %q\n", u.Username(), password)
	}
	_, port, err := net.SplitHostPort(p.address)
	if err != nil {
		t.Fatal(err)
	}
	words := map[string]string{
		"pool_mode": mode, "listen_addr": "127.0.0.1", "listen_port": port, "unix_socket_dir": "", "auth_type": "trust",
		"auth_file": filepath.Join(p.dir, "users"), "logfile": filepath.Join(p.dir, "log"), "default_pool_size": "1",
		"max_client_conn": "200", "server_login_retry": "0.1",
	}
	for _, word := range settings {
		name, value, _ := strings.Cut(word, "=")
		words[name] = value
	}
	text := fmt.Sprintf("[databases]\n* = host=%s port=%s\n[pgbouncer]\n", server.Hostname(), server.Port())
	for _, name := range slices.Sorted(maps.Keys(words)) {
		text += name + " = " + words[name] + "\n"
	}
	for name, content := range map[string]string{"pgbouncer.ini": text, "users": users} {
		if err := os.WriteFile(filepath.Join(p.dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(p.dir, 0o777); err != nil { //nolint:gosec // another user writes its log there
		t.Fatal(err)
	}
}

// start starts the process, as another user where we are root, whom PgBouncer refuses, and waits until it listens.
func (p *Pooler) start(t testing.TB, program string) {
	t.Helper()
	arguments := []string{"-q"}
	if os.Geteuid() == 0 {
		arguments = append(arguments, "-u", unprivileged(t))
	}
	cmd := exec.CommandContext(context.Background(), program, append(arguments, filepath.Join(p.dir, "pgbouncer.ini"))...)
	cmd.SysProcAttr = attributes()
	p.running = &process{cmd, make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // Linux ends the child when this thread ends (golang/go issue 27505)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
		close(p.running.done)
	}()
	if err := <-started; err != nil {
		t.Fatalf("starting PgBouncer: %v", err)
	}
	pgtest.WaitUntil(t, 20*time.Second, "PgBouncer listens", func() (bool, string) {
		conn, err := net.Dial("tcp", p.address) //nolint:noctx // to a listener of this machine
		if err != nil {
			return false, err.Error() + ": " + p.Log()
		}
		return conn.Close() == nil, ""
	})
}

// unprivileged names a user whom PgBouncer may become.
func unprivileged(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"postgres", "nobody"} {
		if _, err := user.Lookup(name); err == nil {
			return name
		}
	}
	t.Skip("PgBouncer refuses to run as root, and there is no user postgres or nobody to run it as, " +
		"so this test does not run")
	return ""
}

// Stop kills the process: its clients are cut off, and nobody listens any more.
func (p *Pooler) Stop(t testing.TB) {
	t.Helper()
	if p.running == nil {
		return
	}
	_ = p.running.cmd.Process.Kill()
	<-p.running.done
}

// Restart starts a process that was stopped again, at the same address.
func (p *Pooler) Restart(t testing.TB) {
	t.Helper()
	p.start(t, p.running.cmd.Path)
}

// URL is the address of the database by way of the pooler, for the relay's role.
func (p *Pooler) URL(t testing.TB) string {
	t.Helper()
	u := parsed(t, p.db.URL())
	u.Host = p.address
	return u.String()
}

// Log is what the process has logged.
func (p *Pooler) Log() string {
	text, err := os.ReadFile(filepath.Join(p.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func parsed(t testing.TB, address string) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatalf("reading the test's database URL: %v", err)
	}
	return u
}
