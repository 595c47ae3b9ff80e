package replication

import (
	"errors"
	"testing"

	"go.uber.org/zap"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/secret"
)

// A relay whose own lost session holds the slot does not stand by: nobody leads, and a fault says so until it streams
// again.
func TestALostSessionOfOnesOwnIsNoLeader(t *testing.T) {
	t.Parallel()
	board := fault.NewBoard()
	c := NewCapture(Config{Slot: "relay"}, secret.New("postgres://nowhere/"), "default", nil, nil, board, zap.NewNop())
	c.session = 42
	other := &slot{active: true, pid: 43, holder: c.name("walsender")}
	if err := c.held(other); !errors.Is(err, errStandby) {
		t.Errorf("held by another process: %v", err)
	}
	for _, holder := range []string{"", c.name("walsender")} {
		board.Raise(fault.New(fault.DatabaseUnreachable, "silent"))
		c.tasks.capturing.Begin()
		err := c.held(&slot{active: true, pid: 42, holder: holder})
		if c.explain(err, newBackoff()) != standbyRetry || c.StandingBy() {
			t.Errorf("the relay stands by for itself: %v", err)
		}
		if list := board.List(); len(list) != 1 || list[0].Code != fault.CaptureFailing || list[0].Partial {
			t.Errorf("on the board is %+v", list)
		}
		c.tasks.started()
		if list := board.List(); len(list) != 0 {
			t.Errorf("while it streams again: %+v", list)
		}
	}
}
