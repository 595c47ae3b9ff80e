// Package pgserver runs a private Postgres that is thrown away afterwards.
//
// It turns the binaries found on the machine, or downloaded once where there are none, into a server of its own: a data
// directory in the temporary directory, a free port on 127.0.0.1, logical replication switched on. It promises never to
// touch another server, never to outlive this process on Linux, and to leave no file behind after Stop. The demo and
// pgtest call it.
package pgserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
)

// Options says how the server differs from the usual one. The zero value is a server as durable as Postgres is.
type Options struct {
	// Settings are written to postgresql.conf after our own; ALTER SYSTEM still overrides them.
	Settings map[string]string
	// Fast gives up durability against a crash of the machine (not of the server), for tests.
	Fast bool
	// Cache is where downloaded binaries are kept; empty: the user's cache directory, or /var/cache for root.
	Cache string
	// Repository is the Maven repository the binaries are downloaded from; empty: Maven Central.
	Repository string
}

// Server is one private Postgres. Its methods are safe for concurrent use.
type Server struct {
	home     string // the temporary directory: data, log and password file
	binaries string
	account  *account
	password string
	port     int

	mu      sync.Mutex
	process *process // nil after Stop
	frozen  []int    // the processes that Pause stopped
}

// attempts bounds how often Start tries another port, when somebody takes the free one before Postgres does.
const attempts = 5

// Start makes and starts a server, and returns when it accepts connections. ctx bounds the start only; Stop ends the
// server.
func Start(ctx context.Context, o Options) (*Server, error) {
	account, err := unprivileged()
	if err != nil {
		return nil, err
	}
	binaries, err := locate(ctx, o)
	if err != nil {
		return nil, err
	}
	return startFrom(ctx, binaries, account, o)
}

func startFrom(ctx context.Context, binaries string, account *account, o Options) (*Server, error) {
	if err := account.mayEnter(binaries); err != nil {
		return nil, fmt.Errorf("running Postgres from %s: %w", binaries, err)
	}
	home, err := makeHome(account)
	if err != nil {
		return nil, err
	}
	s := &Server{home: home, binaries: binaries, account: account, password: rand.Text()}
	if err := s.create(ctx, o); err != nil {
		return nil, errors.Join(err, os.RemoveAll(home))
	}
	for range attempts {
		if s.port, err = freePort(ctx); err != nil {
			break
		}
		if err = s.launch(ctx); err == nil {
			return s, nil
		}
		if !taken(ctx, s.port) {
			break
		}
	}
	return nil, errors.Join(err, os.RemoveAll(home))
}

// URL returns the address of a database on this server, with the superuser's password.
func (s *Server) URL(database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(superuser, s.password),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Program returns the path of a program of the same Postgres, such as pgbench. Packages split them up, and a downloaded
// Postgres has the server's only.
func (s *Server) Program(name string) (string, error) {
	path := filepath.Join(s.binaries, name)
	if !executable(path) {
		return "", fmt.Errorf("the Postgres in %s comes without %s; install its client programs "+
			"(apt-get install postgresql, brew install postgresql@18)", s.binaries, name)
	}
	return path, nil
}

// Port returns the port on 127.0.0.1, the same after a Restart.
func (s *Server) Port() int { return s.port }

// DataDir returns the data directory; it is gone after Stop.
func (s *Server) DataDir() string { return filepath.Join(s.home, "data") }

// makeHome makes the directory that holds all of the server. Links are resolved, for Postgres reports its data
// directory as it was given and launch compares the two.
func makeHome(account *account) (string, error) {
	home, err := os.MkdirTemp("", "attendee-relay-postgres-")
	if err != nil {
		return "", fmt.Errorf("making a directory for Postgres: %w", err)
	}
	if resolved, err := filepath.EvalSymlinks(home); err == nil {
		home = resolved
	}
	err = account.mayEnter(filepath.Dir(home))
	if err != nil {
		err = fmt.Errorf("keeping Postgres's data in %s: %w; set TMPDIR to a directory that everybody may enter, "+
			"such as /tmp", filepath.Dir(home), err)
	} else {
		err = account.own(home)
	}
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(home))
	}
	return home, nil
}

// freePort returns a port that was free a moment ago. It is never the well-known one: the system hands out ports from
// its ephemeral range.
func freePort(ctx context.Context) (int, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("looking for a free port: %w", err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	return port, listener.Close()
}

// taken reports whether somebody listens on the port, so that a failed start is told from a lost race for it.
func taken(ctx context.Context, port int) bool {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return true
	}
	_ = listener.Close()
	return false
}
