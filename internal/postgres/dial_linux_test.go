package postgres_test

import (
	"context"
	"net"
	"syscall"
	"testing"
	"time"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/postgres"
	"attendee-relay/internal/secret"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// What these settings do shows only where packets are lost; that they are set on every kind of connection shows here.
func TestConnectionsNoticeALostNetwork(t *testing.T) {
	t.Parallel()
	url := secret.New(pgtest.New(t).URL())
	direct, err := postgres.Direct(t.Context(), url, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = direct.Close(context.Background()) }()
	walsender, err := postgres.Replication(t.Context(), url, "test", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = walsender.Close(context.Background()) }()
	pool, err := postgres.Pool(url, "test", 1, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	pooled, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer pooled.Release()

	const userTimeout, idle, interval, count = 0x12, 4, 5, 6 // TCP_USER_TIMEOUT, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT
	for name, conn := range map[string]net.Conn{
		"direct": direct.PgConn().Conn(), "walsender": walsender.Conn(), "pool": pooled.Conn().PgConn().Conn(),
	} {
		raw, err := conn.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		for option, want := range map[int]int{userTimeout: 10_000, idle: 5, interval: 1, count: 5} {
			got := 0
			err := raw.Control(func(socket uintptr) { got, _ = syscall.GetsockoptInt(int(socket), syscall.IPPROTO_TCP, option) })
			if err != nil || got != want {
				t.Errorf("%s: TCP option %d is %d, want %d (%v)", name, option, got, want, err)
			}
		}
	}
}
