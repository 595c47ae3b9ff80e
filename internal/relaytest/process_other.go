//go:build !linux

package relaytest

import "syscall"

// attributes does nothing: only Linux can tie the process's life to the test's.
func attributes() *syscall.SysProcAttr { return nil }
