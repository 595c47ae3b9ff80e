package lab

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// sender tells which relay holds the other end of a connection on this machine, by Linux's /proc: a process has the socket
// among its files, by the number that the table of connections gives it. Elsewhere it is nobody's: everybody.
func (l *laboratory) sender(conn net.Conn) int {
	there, here := hexPort(conn.RemoteAddr()), hexPort(conn.LocalAddr())
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return everybody
	}
	for line := range strings.Lines(string(table)) {
		columns := strings.Fields(line)
		if len(columns) > 9 && strings.HasSuffix(columns[1], there) && strings.HasSuffix(columns[2], here) {
			return l.owner("socket:[" + columns[9] + "]")
		}
	}
	return everybody
}

func (l *laboratory) owner(socket string) int {
	for _, r := range l.relays {
		pid := r.pid.Load()
		if pid == 0 {
			continue
		}
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		for _, file := range files {
			if target, err := os.Readlink(file); err == nil && target == socket {
				return r.number
			}
		}
	}
	return everybody
}

func hexPort(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return ":none"
	}
	return fmt.Sprintf(":%04X", tcp.Port)
}
