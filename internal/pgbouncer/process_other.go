//go:build !linux

package pgbouncer

import "syscall"

// attributes does nothing: only Linux can tie the process's life to the test's.
func attributes() *syscall.SysProcAttr { return nil }
