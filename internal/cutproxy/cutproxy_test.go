package cutproxy_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"attendee-relay/internal/cutproxy"
	"attendee-relay/internal/tcptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	soon = 10 * time.Second
	// still is how long nothing must arrive to be taken for held back.
	still = 100 * time.Millisecond
)

// server answers each line with its name and the line, and says when a client has gone.
func server(t *testing.T, name string) (address string, gone <-chan struct{}) {
	t.Helper()
	ends := make(chan struct{}, 10)
	return tcptest.Serve(t, func(conn net.Conn) {
		defer func() { ends <- struct{}{} }()
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			_, _ = fmt.Fprintf(conn, "%s %s\n", name, lines.Text())
		}
	}), ends
}

func dial(t *testing.T, p *cutproxy.Proxy) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func say(t *testing.T, conn net.Conn, line string) {
	t.Helper()
	if _, err := conn.Write([]byte(line + "\n")); err != nil {
		t.Fatal(err)
	}
}

// hear reads one line, for as long as that may take.
func hear(conn net.Conn, within time.Duration) (string, error) {
	_ = conn.SetReadDeadline(time.Now().Add(within))
	line, err := bufio.NewReaderSize(conn, 16).ReadString('\n')
	return line, err
}

func expect(t *testing.T, conn net.Conn, want string) {
	t.Helper()
	if got, err := hear(conn, soon); got != want+"\n" {
		t.Fatalf("%q and %v instead of %q", got, err, want)
	}
}

func TestStallHoldsBackAndLosesNothing(t *testing.T) {
	t.Parallel()
	for name, direction := range map[string]struct{ up, down bool }{
		"up": {true, false}, "down": {false, true}, "both": {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, gone := server(t, "one")
			p := cutproxy.New(t, address)
			conn, leaving := dial(t, p), dial(t, p)
			say(t, conn, "a")
			expect(t, conn, "one a")
			say(t, leaving, "a")
			expect(t, leaving, "one a")

			p.Stall(direction.up, direction.down)
			say(t, conn, "b")
			if line, err := hear(conn, still); !isTimeout(err) {
				t.Errorf("%q and %v came through", line, err)
			}
			late := dial(t, p)
			say(t, late, "c")
			_ = leaving.Close()
			if direction.up {
				select {
				case <-gone:
					t.Error("the server learnt of a client's end")
				case <-time.After(still):
				}
			}

			p.Resume()
			expect(t, conn, "one b")
			expect(t, late, "one c")
			<-gone
		})
	}
}

func isTimeout(err error) bool {
	var failed net.Error
	return errors.As(err, &failed) && failed.Timeout()
}

func TestCutResetsBothSides(t *testing.T) {
	t.Parallel()
	address, gone := server(t, "one")
	p := cutproxy.New(t, address)
	conn := dial(t, p)
	say(t, conn, "a")
	expect(t, conn, "one a")
	p.Stall(true, true) // a cut ends what is stalled, too
	p.Cut()
	if _, err := hear(conn, soon); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client sees %v", err)
	}
	<-gone
	expectHealed(t, p)
}

func TestStrandLeavesHalfOpen(t *testing.T) {
	t.Parallel()
	address, gone := server(t, "one")
	p := cutproxy.New(t, address)
	conn := dial(t, p)
	say(t, conn, "a")
	expect(t, conn, "one a")
	p.Strand()
	again := dial(t, p)
	say(t, again, "b")
	expect(t, again, "one b")
	p.Resume()
	say(t, conn, "c")
	if line, err := hear(conn, still); !isTimeout(err) {
		t.Errorf("%q and %v came through", line, err)
	}
	_ = conn.Close()
	select {
	case <-gone:
		t.Error("the server learnt of the client's end")
	case <-time.After(still):
	}
}

func TestRefuse(t *testing.T) {
	t.Parallel()
	address, _ := server(t, "one")
	p := cutproxy.New(t, address)
	p.Refuse()
	conn, err := net.Dial("tcp", p.Addr())
	if err == nil {
		defer func() { _ = conn.Close() }()
		_, err = hear(conn, soon)
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a refused client sees %v", err)
	}
	expectHealed(t, p)
}

func TestSwitchLeadsToAnother(t *testing.T) {
	t.Parallel()
	one, gone := server(t, "one")
	two, _ := server(t, "two")
	p := cutproxy.New(t, one)
	conn := dial(t, p)
	say(t, conn, "a")
	expect(t, conn, "one a")
	p.Switch(two)
	<-gone
	again := dial(t, p)
	say(t, again, "b")
	expect(t, again, "two b")
}

func TestDelayHoldsEachWay(t *testing.T) {
	t.Parallel()
	const delay = 50 * time.Millisecond
	address, _ := server(t, "one")
	p := cutproxy.New(t, address)
	conn := dial(t, p)
	say(t, conn, "a")
	expect(t, conn, "one a")
	p.Delay(delay)
	began := time.Now()
	say(t, conn, "b")
	expect(t, conn, "one b")
	if took := time.Since(began); took < 2*delay {
		t.Errorf("the answer took %v", took)
	}
}

// expectHealed resumes the proxy and expects a new connection to reach the first server.
func expectHealed(t *testing.T, p *cutproxy.Proxy) {
	t.Helper()
	p.Resume()
	again := dial(t, p)
	say(t, again, "b")
	expect(t, again, "one b")
}
