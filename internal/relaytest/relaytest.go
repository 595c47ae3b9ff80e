// Package relaytest runs the built binary as an operator's script would: a process with an environment, signals, an
// exit status, and HTTP from outside.
//
// It turns the source tree into one binary a test binary, starts processes of it, receives their webhooks and makes the
// registrations they are about. It promises that no process of it outlives its test, and it fails a test whose process
// panicked or raced. Only tests import it; a package that does calls Main from its TestMain.
package relaytest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"attendee-relay/internal/pgtest"
)

// parallel is how many tests run at once: they wait for other processes more than they compute.
const parallel = "8"

// binary is the one that all tests of this test binary use.
var binary struct {
	once sync.Once
	dir  string
	err  error
}

// Main is pgtest.Main, and removes the binary after the tests.
func Main(m *testing.M) {
	_ = flag.Set("test.parallel", parallel) // the command line is read later and wins
	pgtest.Main(tests{m})
}

type tests struct{ *testing.M }

// Run runs the tests and removes the binary.
func (s tests) Run() int {
	code := s.M.Run()
	if err := os.RemoveAll(binary.dir); err != nil && binary.dir != "" {
		fmt.Fprintln(os.Stderr, "removing the tests' binary:", err)
	}
	return code
}

// Binary builds the binary, with the race detector when the test has it, and returns its path.
func Binary(t *testing.T) string {
	t.Helper()
	binary.once.Do(func() { binary.dir, binary.err = build() })
	if binary.err != nil {
		t.Fatalf("building the binary: %v", binary.err)
	}
	return path()
}

func path() string { return filepath.Join(binary.dir, "attendee-relay") }

func build() (dir string, err error) {
	if dir, err = os.MkdirTemp(workDir(), "attendee-relay-binary-"); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), 5*time.Minute, errors.New("it took too long"))
	defer cancel()
	arguments := []string{"build", "-buildvcs=false", "-o", dir + string(filepath.Separator)}
	if Racing() {
		arguments = append(arguments, "-race")
	}
	output, err := exec.CommandContext(ctx, "go",
		append(arguments, "attendee-relay/cmd/attendee-relay")...).CombinedOutput()
	if err != nil {
		return dir, fmt.Errorf("%w: %s", err, output)
	}
	return dir, nil
}

// workDir returns the directory that go test made for this run and removes even after one that was cut off; "" is the
// usual temporary directory.
func workDir() string {
	self, err := os.Executable()
	if err != nil || !strings.Contains(self, "go-build") {
		return ""
	}
	return filepath.Dir(self)
}

// Racing reports whether this test binary was built with -race.
func Racing() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}
