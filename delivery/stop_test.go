package delivery

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"attendee-relay/internal/fault"
	"attendee-relay/outbox"
)

// stopping is a store of which one call hangs, whatever its context says, or fails with a code that nobody expects.
type stopping struct {
	*memoryStore
	claim, settle, refresh func() error
}

func (s *stopping) Claim(ctx context.Context, req outbox.ClaimRequest) ([]outbox.Message, error) {
	if s.claim != nil {
		if err := s.claim(); err != nil {
			return nil, err
		}
	}
	return s.memoryStore.Claim(ctx, req)
}

func (s *stopping) Settle(ctx context.Context, list []outbox.Settlement) (outbox.Settled, error) {
	if s.settle != nil {
		if err := s.settle(); err != nil {
			return outbox.Settled{}, err
		}
	}
	return s.memoryStore.Settle(ctx, list)
}

func (s *stopping) Refresh(ctx context.Context, list []outbox.Message) ([]outbox.Message, error) {
	if s.refresh != nil {
		if err := s.refresh(); err != nil {
			return nil, err
		}
	}
	return s.memoryStore.Refresh(ctx, list)
}

// watched runs until the board shows a fault, releases the hanging call, and returns the fault. It fails if the fault
// stays.
func watched(t *testing.T, r *running, over func()) fault.Fault {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	told := make(chan fault.Fault, 100)
	go r.board.Watch(ctx, func(f fault.Fault, held bool) {
		if !held {
			f = fault.Fault{}
		}
		told <- f
	})
	f := <-told
	over()
	for (<-told != fault.Fault{}) {
	}
	return f
}

// Whichever call of delivery hangs or fails, there is a fault, and none any more when it works again.
func TestNoCallOfDeliveryStopsSilently(t *testing.T) {
	t.Parallel()
	unknown := &pgconn.PgError{Severity: "ERROR", Code: "XX999", Message: "nobody knows"}
	for name, c := range map[string]struct {
		place func(s *stopping, call func() error)
		stale bool
		hang  bool
		want  string
	}{
		"a claim hangs": {func(s *stopping, call func() error) { s.claim = call }, false, true,
			"taking messages from the outbox"},
		"claims fail": {func(s *stopping, call func() error) { s.claim = call }, false, false,
			"nobody knows (SQLSTATE XX999)"},
		"a settlement hangs": {func(s *stopping, call func() error) { s.settle = call }, false, true,
			"recording the outcomes"},
		"settlements fail": {func(s *stopping, call func() error) { s.settle = call }, false, false,
			"nobody knows (SQLSTATE XX999)"},
		"a look at a URL hangs": {func(s *stopping, call func() error) { s.refresh = call }, true, true,
			"asking for the URLs"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				over := make(chan struct{})
				store := &stopping{memoryStore: newMemoryStore()}
				c.place(store, func() error {
					if c.hang {
						<-over
						return nil
					}
					select {
					case <-over:
						return nil
					default:
						return unknown
					}
				})
				m := newMessage("https://receiver.example/hook")
				m.Retry = c.stale
				store.add(m)
				r := run(t, store, exchangeFunc(func(context.Context, outbox.Message) Exchange { return answer(200) }))
				f := watched(t, r, func() { close(over) })
				if f.Code != fault.DeliveryFailing || !strings.Contains(f.Message, c.want) || f.Partial {
					t.Errorf("the fault is %+v, want one with %q", f, c.want)
				}
				store.await(t, 1)
				r.stop()
			})
		})
	}
}

// An exchange that does not end although its time is over is shown as well.
func TestASenderThatHangsIsAFault(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		over := make(chan struct{})
		store := newMemoryStore(newMessage("https://receiver.example/hook"))
		r := run(t, store, exchangeFunc(func(context.Context, outbox.Message) Exchange { <-over; return answer(200) }))
		began := time.Now()
		f := watched(t, r, func() { close(over) })
		if !strings.Contains(f.Message, "sending messages") || time.Since(began) < testConfig().Timeout {
			t.Errorf("after %v the fault is %+v", time.Since(began), f)
		}
		store.await(t, 1)
		r.stop()
	})
}

// Without file descriptors nothing is attempted, nothing dies and no step is used up; one request at a time tries
// again, after growing waits, and all go on when it opens a connection.
func TestAShortageIsNobodysFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n = 52
		lack := &net.OpError{Op: "dial", Err: os.NewSyscallError("socket", syscall.EMFILE)}
		over := make(chan struct{})
		var tries []time.Duration
		began := time.Now()
		store := newMemoryStore(messages("https://receiver.example/hook", n)...)
		r := run(t, store, exchangeFunc(func(context.Context, outbox.Message) Exchange {
			select {
			case <-over:
				return answer(200)
			default:
				tries = append(tries, time.Since(began))
				at := &progress{}
				at.reached.Store(int32(stepConnect))
				return failed(lack, at, nil)
			}
		}), func(c *Config) { c.EndpointConcurrency = 1 })
		f := watched(t, r, func() {
			time.Sleep(5 * time.Minute)
			close(over)
		})
		store.await(t, n)
		r.stop()
		if !strings.Contains(f.Message, "file descriptor") || f.Partial {
			t.Errorf("the fault is %+v", f)
		}
		// 0, 1, 3, 7, 15, 31, 61 s, and then every 30 s; each a poll later.
		if len(tries) < 10 || len(tries) > 15 {
			t.Errorf("tried %d times in 5 min: %v", len(tries), tries)
		}
		for id := range store.rows {
			if row := store.row(id); row.state != outbox.StateDelivered || len(row.attempts) != 1 {
				t.Errorf("%s: %+v", id, row)
			}
		}
	})
}

func TestAReusedConnectionProvesNothing(t *testing.T) {
	t.Parallel()
	s := &shortage{}
	now := time.Now()
	s.end(now, true, false, false)
	if may, _ := s.begin(now); may {
		t.Error("a request begins within the wait")
	}
	later := now.Add(firstShortage)
	may, try := s.begin(later)
	second, _ := s.begin(later)
	if !may || !try || second {
		t.Errorf("after the wait: %t, %t; beside it: %t", may, try, second)
	}
	if !s.end(later, false, true, true) || s.limit(100) != 1 {
		t.Error("after an answer over an old connection it is not the next one's turn, alone")
	}
	if may, try = s.begin(later); !may || !try {
		t.Error("the next one may not begin")
	}
	if !s.end(later, false, false, true) || s.limit(100) != 100 {
		t.Error("after a new connection the shortage is not over")
	}
}

// The kernel's words reach us in several coats.
func TestShortagesAreKnown(t *testing.T) {
	t.Parallel()
	socket := func(number syscall.Errno) error {
		return &net.OpError{Op: "dial", Err: os.NewSyscallError("socket", number)}
	}
	for name, c := range map[string]struct {
		end  ending
		want bool
	}{
		"of the process": {ending{err: socket(syscall.EMFILE)}, true},
		"of the machine": {ending{err: socket(syscall.ENFILE)}, true},
		"of buffers":     {ending{err: socket(syscall.ENOBUFS)}, true},
		"in a look-up": {ending{err: &net.DNSError{Err: "dial udp 10.0.0.2:53: socket: too many open files"},
			at: stepLookup}, true},
		"no such host, no files": {ending{err: &net.DNSError{Err: "no such host", IsNotFound: true}, short: true}, true},
		"no such host":           {ending{err: &net.DNSError{Err: "no such host", IsNotFound: true}}, false},
		"refused":                {ending{err: socket(syscall.ECONNREFUSED)}, false},
		"said by the receiver":   {ending{err: errors.New("too many open files"), at: stepAnswer}, false},
	} {
		if _, _, fate := judge(c.end); (fate == postponed) != c.want {
			t.Errorf("%s: %s", name, fate)
		}
	}
}
