package lab

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
)

// connection is one that a relay opened to the receiver.
type connection struct {
	there, here string
	number      atomic.Int64
}

// newConnection asks for the relay at the other end of the connection. Nobody waits for the answer: a receiver that is
// slow to take connections would itself be a fault.
func newConnection(conn net.Conn, asked chan<- *connection) *connection {
	c := &connection{there: hexPort(conn.RemoteAddr()), here: hexPort(conn.LocalAddr())}
	c.number.Store(everybody)
	select {
	case asked <- c:
	default:
	}
	return c
}

// relay returns the number of the relay, or everybody while it is not known, as when it was gone before it could be
// found.
func (c *connection) relay() int { return int(c.number.Load()) }

// attribute looks for the relays of connections, one after the other.
func (l *laboratory) attribute(asked <-chan *connection) {
	for c := range asked {
		c.number.Store(int64(l.sender(c)))
	}
}

// sender returns the relay that holds the other end of a connection on this machine, by Linux's /proc: a process has
// the socket among its files, by the number that the table of connections gives it. Elsewhere the relay is unknown:
// everybody.
func (l *laboratory) sender(c *connection) int {
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return everybody
	}
	for line := range strings.Lines(string(table)) {
		columns := strings.Fields(line)
		if len(columns) > 9 && strings.HasSuffix(columns[1], c.there) && strings.HasSuffix(columns[2], c.here) {
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
