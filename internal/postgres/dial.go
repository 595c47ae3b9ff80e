package postgres

import (
	"net"
	"time"
)

// lostAfter is how long the other machine's network may leave what we sent, or a probe of an idle connection, without
// an acknowledgement before the connection is given up. By default Linux takes a quarter of an hour, and Go two minutes
// and a half: so long a half-open connection would look like a slow query. A server that is only slow or frozen is not
// concerned, its kernel acknowledges.
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
