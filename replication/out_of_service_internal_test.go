package replication

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.uber.org/zap"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/postgres"
	"attendee-relay/internal/secret"
)

func newIdle() (*Capture, *fault.Board) {
	board := fault.NewBoard()
	return NewCapture(Config{Slot: "s", Publication: "p", Setup: "auto"}, secret.New("postgres://nowhere"), "test", nil,
		nil, board, zap.NewNop()), board
}

// tries are the ways in which a try to lead ends, except that another process leads.
var tries = map[string]error{
	"a fault with a code":     fault.New(fault.SlotBusy, "somebody reads it"),
	"an unreachable server":   fmt.Errorf("reading: %w", postgres.ErrSilent),
	"an error without a code": errors.New("nobody knows"),
	"a session that is lost":  &lostSessionError{7},
}

// A process that is out of service shows why at every moment, however one try after the other ends.
func TestWhoIsOutOfServiceSaysWhy(t *testing.T) {
	t.Parallel()
	c, board := newIdle()
	c.tasks.begin()
	c.explain(tries["an error without a code"], newBackoff())
	over, silent := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for {
			select {
			case <-over:
				silent <- n
				return
			default:
				if len(board.List()) == 0 {
					n++
				}
			}
		}
	}()
	for range 300 {
		for _, first := range tries {
			for _, then := range tries {
				for _, err := range []error{first, then} {
					c.tasks.begin()
					c.forgetFaults()
					c.passed(fault.QueryInvalid, fault.SlotPending)
					c.explain(err, newBackoff())
				}
			}
		}
	}
	close(over)
	if n := <-silent; n > 0 {
		t.Errorf("%d times there was no fault", n)
	}
}

// A process without a role, or with a fault on the board, shows the next reason at once; one that led, or stood by, is
// in service until a failure has lasted.
func TestAReasonIsShownAtOnceWhereTheProcessIsOutOfService(t *testing.T) {
	t.Parallel()
	for name, err := range tries {
		for role, have := range map[string]func(*Capture){
			"no role":  func(*Capture) {},
			"led":      func(c *Capture) { c.led.Store(true) },
			"stood by": func(c *Capture) { c.standby.Store(true) },
			"led, with a fault": func(c *Capture) {
				c.led.Store(true)
				c.board.Raise(fault.New(fault.SlotLost, "it is gone"))
			},
		} {
			c, board := newIdle()
			have(c)
			c.tasks.begin()
			c.explain(err, newBackoff())
			_, named := errors.AsType[*fault.Fault](err)
			named = named || postgres.Unreachable(err)
			want := named || role == "no role" || role == "led, with a fault"
			if list := board.List(); (len(list) == 1) != want || len(list) > 1 {
				t.Errorf("%s, %s: the board shows %+v", role, name, list)
			}
		}
	}
}

// An error that was shown at once goes when the stream starts, and comes back if it lasts.
func TestWhatWasShownAtOnceIsOverWithTheStream(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c, _ := newIdle()
	c.board = fault.NewBoardWith(fault.Limit, func() time.Time { return now })
	c.tasks.capturing = c.newTasks().capturing
	c.tasks.begin()
	c.explain(errors.New("nobody knows"), newBackoff())
	if list := c.board.List(); len(list) != 1 {
		t.Fatalf("the board shows %+v", list)
	}
	c.tasks.begin()
	c.tasks.started()
	if list := c.board.List(); len(list) != 0 {
		t.Errorf("the board shows %+v beside a stream that is read", list)
	}
	now = now.Add(fault.Limit)
	c.board.Judge(context.Background())
	if list := c.board.List(); len(list) != 1 || list[0].Code != fault.CaptureFailing {
		t.Errorf("the board shows %+v although the error was not disproved", list)
	}
}
