package pgserver

import (
	"os/exec"
	"runtime"
)

// process is a running postmaster; done closes when it has ended, err then says how.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// spawn starts cmd and keeps the thread that started it until the process ends: Linux sends the parent-death signal
// when that thread goes, not when the whole parent does, and Go may end a thread before the program (golang/go issue
// 27505).
func spawn(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// ended reports whether the process is gone.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}
