package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// child is a process that the bench started.
type child struct {
	name string
	cmd  *exec.Cmd
	// said is what it wrote to stderr.
	said bytes.Buffer
	// out is what it prints.
	out   io.Reader
	ended chan struct{}
	err   error
}

// stopTimeout is how long a child may take to end when it is told to.
const stopTimeout = 40 * time.Second

// start runs a program with nothing but this environment. It ends with ctx, with stop, or with this process.
func start(ctx context.Context, name, program string, environ, arguments []string) (*child, error) {
	c := &child{name: name, cmd: exec.CommandContext(ctx, program, arguments...), ended: make(chan struct{})}
	c.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()}, environ...)
	c.cmd.Stderr = &c.said
	c.cmd.SysProcAttr = attributes()
	var err error
	if c.out, err = c.cmd.StdoutPipe(); err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.ended)
	}()
	return c, nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// stop tells the process to end, and ends it if it does not.
func (c *child) stop() error {
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // an error: it has ended
	select {
	case <-c.ended:
		return nil
	case <-time.After(stopTimeout):
		_ = c.cmd.Process.Kill()
		<-c.ended
		return fmt.Errorf("%s did not stop within %v", c.name, stopTimeout)
	}
}

// lastOf is the end of what a process said.
func lastOf(text []byte) []byte {
	const most = 2000
	return text[max(0, len(text)-most):]
}

// tool runs a program to its end and returns what it printed.
func tool(ctx context.Context, program string, arguments ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, arguments...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	cmd.SysProcAttr = attributes()
	var said bytes.Buffer
	cmd.Stderr = &said
	printed, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", filepath.Base(program), err, lastOf(said.Bytes()))
	}
	return printed, nil
}
