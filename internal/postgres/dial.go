package postgres

import (
	"net"
	"time"
)

// lostAfter is how long data that we sent, or a probe of an idle connection, may stay without an acknowledgement from
// the other machine before the connection is given up. Linux takes a quarter of an hour by default, and Go two and a
// half minutes: for so long a half-open connection would look like a slow query. A server that is only slow or frozen
// is not affected, because its kernel acknowledges.
const lostAfter = 10 * time.Second

// probes are sent one after the other before an idle connection is given up.
const probes = 5

func dialer() *net.Dialer {
	return &net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{
			Enable: true, Idle: lostAfter / 2, Interval: lostAfter / 2 / probes, Count: probes},
		Control: giveUp,
	}
}
