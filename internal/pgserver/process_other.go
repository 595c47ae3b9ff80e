//go:build !linux

package pgserver

import "syscall"

// attributes puts Postgres in a process group of its own, so that Ctrl-C in the terminal reaches us and not it. Only
// Linux can tie its life to ours: elsewhere it stays when this process is killed outright.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
