package pgserver_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"attendee-relay/internal/pgserver"
)

const parentMode = "PGSERVER_TEST_PARENT"

// TestServerDiesWithItsParent kills a process that started a server, and waits for the server to go too.
func TestServerDiesWithItsParent(t *testing.T) {
	if os.Getenv(parentMode) != "" {
		beParent(t)
		return
	}
	t.Parallel()
	temporary, err := os.MkdirTemp("", "orphan-") // not t.TempDir: for root, another user must be able to enter it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(temporary) })
	if err := os.Chmod(temporary, 0o755); err != nil {
		t.Fatal(err)
	}
	parent := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestServerDiesWithItsParent$")
	parent.Env = append(os.Environ(), parentMode+"=1", "TMPDIR="+temporary)
	output, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	dataDir := ""
	for lines := bufio.NewScanner(output); dataDir == "" && lines.Scan(); {
		dataDir, _ = strings.CutPrefix(lines.Text(), "data ")
	}
	pid := postmaster(t, dataDir)
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	for deadline := time.Now().Add(20 * time.Second); syscall.Kill(pid, 0) == nil && !isZombie(pid); {
		if time.Now().After(deadline) {
			t.Fatalf("the postmaster %d outlives its parent", pid)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// beParent starts a server and waits to be killed.
func beParent(t *testing.T) {
	s, err := pgserver.Start(context.Background(), pgserver.Options{Fast: true})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("data %s\n", s.DataDir())
	time.Sleep(time.Minute)
}

func postmaster(t *testing.T, dataDir string) (pid int) {
	t.Helper()
	text, err := os.ReadFile(dataDir + "/postmaster.pid")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(string(text), &pid); err != nil {
		t.Fatal(err)
	}
	return pid
}

// isZombie tells a process that has ended but that no init has collected, as in a container without one.
func isZombie(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(text), ") Z ")
}
