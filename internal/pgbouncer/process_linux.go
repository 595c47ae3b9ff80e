package pgbouncer

import "syscall"

// attributes ties the process's life to the test's: a test binary that is killed or times out runs no cleanup.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
