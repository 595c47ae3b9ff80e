package pgserver

import "syscall"

// attributes puts Postgres in a process group of its own, so that Ctrl-C in the terminal reaches us and not it, and
// asks for an immediate shutdown when this process dies in whatever way.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGQUIT}
}
