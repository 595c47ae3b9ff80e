package delivery

import (
	"io"
	"log"
	"net/netip"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"attendee-relay/outbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for a signal before it gives up.
const patience = 10 * time.Second

// testConfig is the default configuration, but that receivers on this machine are allowed.
func testConfig(change ...func(*Config)) Config {
	cfg := Config{
		Enabled: true, Concurrency: 256, EndpointConcurrency: 8, Timeout: 15 * time.Second,
		RetrySchedule:   []time.Duration{5 * time.Second, 5 * time.Minute, 30 * time.Minute},
		BreakerFailures: 10, BreakerProbe: 30 * time.Second, AllowHTTP: true,
		AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	}
	for _, f := range change {
		f(&cfg)
	}
	return cfg
}

func newTestSender(t testing.TB, change ...func(*Config)) *Sender {
	t.Helper()
	s, err := NewSender(testConfig(change...), "1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.CloseIdleConnections)
	return s
}

func newMessage(url string) outbox.Message {
	return outbox.Message{
		ID: "msg_p5jXN8AQM9LWM0D4loKWxJek", Endpoint: uuid.NewSHA1(uuid.NameSpaceURL, []byte(url)), URL: url,
		Payload: []byte(`{"test": 2432232314}`), LeaseEnds: time.Now().Add(time.Minute),
	}
}

// receive waits for a signal.
func receive[T any](t testing.TB, signal <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-signal:
		return v
	case <-time.After(patience):
		t.Fatalf("waited %v for %s", patience, what)
		panic("unreachable")
	}
}

// quiet is for servers that would print what a test does to them.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// answering is the progress of an exchange whose request was sent.
func answering() *progress {
	p := &progress{}
	p.reached.Store(int32(stepAnswer))
	return p
}
