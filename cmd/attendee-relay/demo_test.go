package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"attendee-relay/internal/relaytest"
)

func TestDemoEndsByItself(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args []string
		says string
	}{
		"after a number of attendees": {[]string{"--attendees", "6", "--pace", "20ms"}, "Announced 6 of 6 acceptances"},
		"after a time":                {[]string{"--for", "1s", "--pace", "100ms"}, "0 unexpected"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			demo, temporary := startDemo(t, test.args...)
			if status := demo.Exit(t, time.Minute); status != statusDone || !strings.Contains(demo.Stdout(), test.says) {
				t.Errorf("exit status %d:\n%s%s", status, demo.Stdout(), demo.Stderr())
			}
			checkCleanedUp(t, temporary)
		})
	}
}

func TestDemoEndsWithCtrlC(t *testing.T) {
	t.Parallel()
	demo, temporary := startDemo(t)
	demo.AwaitStdout(t, time.Minute, "| signature verified |")
	demo.Signal(t, syscall.SIGINT)
	if status := demo.Exit(t, time.Minute); status != statusDone {
		t.Errorf("exit status %d:\n%s%s", status, demo.Stdout(), demo.Stderr())
	}
	checkCleanedUp(t, temporary)
}

// startDemo runs the demo with a temporary directory of its own, which the user who runs Postgres for root may enter.
func startDemo(t *testing.T, args ...string) (demo *relaytest.Process, temporary string) {
	t.Helper()
	temporary, err := os.MkdirTemp("", "attendee-relay-demo-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(temporary) })
	if err := os.Chmod(temporary, 0o755); err != nil {
		t.Fatal(err)
	}
	environ := []string{"TMPDIR=" + temporary, "HOME=" + os.Getenv("HOME"), "XDG_CACHE_HOME=" +
		os.Getenv("XDG_CACHE_HOME")}
	return relaytest.Start(t, environ, append([]string{"demo"}, args...)...), temporary
}

// checkCleanedUp looks for what the demo may have left: files, and processes that work in its directory.
func checkCleanedUp(t *testing.T, temporary string) {
	t.Helper()
	left, err := os.ReadDir(temporary)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range left {
		if !strings.HasPrefix(entry.Name(), "embedded_postgres_log") { // a download's, which its library never removes
			t.Errorf("%s is left", entry.Name())
		}
	}
	commands, _ := filepath.Glob("/proc/[0-9]*/cmdline") // none where there is no /proc
	for _, file := range commands {
		if command, _ := os.ReadFile(file); strings.Contains(string(command), temporary) {
			t.Errorf("a process is left: %q", command)
		}
	}
}
