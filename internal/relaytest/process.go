package relaytest

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"attendee-relay/internal/pgtest"
)

// Process is one run of the binary.
type Process struct {
	cmd            *exec.Cmd
	stdout, stderr output
	ended          chan struct{} // closed when the process has gone and its output is whole
	retired        bool
}

// Start runs the binary with these arguments and nothing but this environment. Of a name given twice the last counts.
// When the test ends, the process is killed if it still runs.
func Start(t *testing.T, environ []string, arguments ...string) *Process {
	t.Helper()
	//nolint:noctx // the cleanup ends it
	p := &Process{cmd: exec.Command(Binary(t), arguments...), ended: make(chan struct{})}
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "GORACE=atexit_sleep_ms=0"}, environ...)
	p.cmd.Dir = t.TempDir()
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	p.cmd.SysProcAttr = attributes()
	if err := p.spawn(); err != nil {
		t.Fatalf("starting the binary: %v", err)
	}
	t.Cleanup(func() {
		p.Kill()
		if !p.retired {
			p.judge(t)
		}
	})
	return p
}

// spawn starts the process and keeps the thread that did until it has ended: Linux sends the parent-death signal when
// that thread goes (golang/go issue 27505).
func (p *Process) spawn() error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // the status stays in cmd
		}
		close(p.ended)
	}()
	return <-started
}

// accuse fails the test for what no process may do.
func (p *Process) accuse(t *testing.T) {
	t.Helper()
	text := p.Stderr()
	for _, never := range []string{"panic:", "fatal error:", "WARNING: DATA RACE"} {
		if _, after, says := strings.Cut(text, never); says {
			t.Errorf("process %d says %q%s", p.cmd.Process.Pid, never, after[:min(len(after), 4000)])
		}
	}
}

// judge is accuse, and shows the log's end when the test has failed.
func (p *Process) judge(t *testing.T) {
	t.Helper()
	p.accuse(t)
	if t.Failed() {
		lines := strings.SplitAfter(p.Stderr(), "\n")
		t.Logf("the last lines of process %d:\n%s", p.cmd.Process.Pid, strings.Join(lines[max(0, len(lines)-60):], ""))
	}
}

// Signal sends a signal.
func (p *Process) Signal(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		t.Fatalf("sending %v: %v", signal, err)
	}
}

// Freeze stops the process where it is, and returns when every thread of it has stopped. SIGCONT wakes it.
func (p *Process) Freeze(t *testing.T) {
	t.Helper()
	p.Signal(t, syscall.SIGSTOP)
	var status syscall.WaitStatus
	for !status.Stopped() {
		if _, err := syscall.Wait4(p.cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil && err != syscall.EINTR {
			t.Fatalf("waiting for the process to freeze: %v", err)
		}
	}
}

// Kill ends the process without a word, as a power cut would, and returns when it has gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // an error: it has gone already
	<-p.ended
}

// PID returns the process's number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Retire kills the process if it still runs, judges it now instead of at the test's end, and returns its stderr, which
// is not kept: a test may go through hundreds of processes.
func (p *Process) Retire(t *testing.T) (stderr string) {
	t.Helper()
	p.Kill()
	p.accuse(t)
	p.retired = true
	stderr = p.Stderr()
	p.stderr.reset()
	return stderr
}

// Ended is closed when the process has gone.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Exit waits until the process has ended by itself and returns its exit status.
func (p *Process) Exit(t *testing.T, within time.Duration) int {
	t.Helper()
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode()
	case <-timer.C:
		t.Fatalf("the process has not ended within %v", within)
		return 0
	}
}

// Stdout and Stderr return what it printed so far.
func (p *Process) Stdout() string { return p.stdout.String() }

// Stderr is Stdout's brother.
func (p *Process) Stderr() string { return p.stderr.String() }

// AwaitStdout waits until the process has printed a text.
func (p *Process) AwaitStdout(t *testing.T, within time.Duration, text string) {
	t.Helper()
	pgtest.WaitUntil(t, within, "the process prints "+text, func() (bool, string) {
		return strings.Contains(p.Stdout(), text), p.Stdout()
	})
}

// output collects what a process prints.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements io.Writer.
func (o *output) Write(text []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(text)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func (o *output) reset() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Reset()
}
