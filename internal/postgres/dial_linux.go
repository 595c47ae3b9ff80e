package postgres

import (
	"errors"
	"strings"
	"syscall"
)

// tcpUserTimeout is Linux's TCP_USER_TIMEOUT (linux/tcp.h), in milliseconds; package syscall does not name it.
const tcpUserTimeout = 0x12

// giveUp bounds how long what was sent may stay unacknowledged; keepalive probes are not sent while something is.
func giveUp(network, _ string, conn syscall.RawConn) error {
	if !strings.HasPrefix(network, "tcp") {
		return nil
	}
	var failed error
	err := conn.Control(func(socket uintptr) {
		failed = syscall.SetsockoptInt(int(socket), syscall.IPPROTO_TCP, tcpUserTimeout, int(lostAfter.Milliseconds()))
	})
	return errors.Join(err, failed)
}
