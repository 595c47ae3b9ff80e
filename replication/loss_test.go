package replication

import (
	"testing"
	"time"

	"github.com/jackc/pglogrepl"

	"attendee-relay/internal/fault"
)

// What one relay could not read is no reason any more when another has gone on from there.
func TestUnreadableHoldsForOneCheckpoint(t *testing.T) {
	t.Parallel()
	c := &Capture{config: Config{Slot: "slot", Setup: "auto", OnLoss: "resync"}}
	c.unreadable = &unreadable{fault: newDrift("drift").Fault, at: 100}
	s := &slot{confirmed: 90}
	if f := c.lost(Position{Phase: PhaseStreaming, LSN: 100}, s, &Source{}); f == nil || f.Code != fault.SourceDrift {
		t.Errorf("at the same checkpoint: %v", f)
	}
	if f := c.lost(Position{Phase: PhaseStreaming, LSN: 120}, s, &Source{}); f != nil {
		t.Errorf("after another relay went on: %v", f)
	}
	c.unreadable.status = "VIP"
	if f := c.lost(Position{Phase: PhaseStreaming, LSN: 100}, s,
		&Source{labels: &shape{kind: "e", labels: map[string]uint32{"VIP": 1}}}); f != nil {
		t.Errorf("a label that the catalog has by now: %v", f)
	}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	const at = pglogrepl.LSN(100)
	lostSlot, ok, moved, making := &slot{walStatus: "lost", confirmed: 90}, &slot{confirmed: 90}, &slot{confirmed: 110},
		&slot{active: true}
	gone := fault.New(fault.SlotLost, "gone")
	again := &unreadable{fault: gone, at: at, again: true}
	for _, c := range []struct {
		name          string
		setup, onLoss string
		phase         Phase
		slot          *slot
		unreadable    *unreadable
		rested        bool
		want          Phase // "": a fault
	}{
		{"first start", "auto", "resync", PhaseNew, nil, nil, false, PhaseOwnSlot},
		{"first start with a DBA's slot", "auto", "resync", PhaseNew, ok, nil, false, PhaseGivenSlot},
		{"first start, manual, no slot", "manual", "resync", PhaseNew, nil, nil, false, ""},
		{"a slot that somebody is making", "auto", "resync", PhaseNew, making, nil, false, ""},
		{"our own slot, still being made by a dead walsender", "auto", "resync", PhaseOwnSlot, making, nil, false,
			PhaseOwnSlot},
		{"crash in the baseline", "auto", "resync", PhaseOwnSlot, ok, nil, false, PhaseOwnSlot},
		{"crash in the baseline, manual since", "manual", "resync", PhaseOwnSlot, ok, nil, false, PhaseGivenSlot},
		{"a DBA's slot, lost in the baseline", "manual", "resync", PhaseGivenSlot, lostSlot, nil, false, ""},
		{"slot gone", "auto", "resync", PhaseStreaming, nil, nil, false, PhaseOwnSlot},
		{"slot gone, manual", "manual", "resync", PhaseStreaming, nil, nil, false, ""},
		{"slot lost", "auto", "resync", PhaseStreaming, lostSlot, nil, false, PhaseOwnSlot},
		{"slot lost, stop", "auto", "stop", PhaseStreaming, lostSlot, nil, false, ""},
		{"slot moved", "auto", "resync", PhaseStreaming, moved, nil, false, PhaseGivenSlot},
		{"slot recreated by a DBA", "manual", "resync", PhaseStreaming, moved, nil, false, PhaseGivenSlot},
		{"publication recreated, manual", "manual", "resync", PhaseStreaming, ok, nil, false, ""},
		{"publication recreated", "auto", "resync", PhaseStreaming, ok, nil, false, PhaseOwnSlot},
		{"drift right after a resync", "auto", "resync", PhaseStreaming, ok, again, false, ""},
		{"drift a while after a resync", "auto", "resync", PhaseStreaming, ok, again, true, PhaseOwnSlot},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			capture := &Capture{config: Config{Slot: "slot", Setup: c.setup, OnLoss: c.onLoss}, unreadable: c.unreadable,
				resyncedAt: time.Now()}
			if c.rested {
				capture.resyncedAt = time.Now().Add(-2 * resyncRest)
			}
			var lost *fault.Fault
			if c.phase == PhaseStreaming {
				copied := *gone
				lost = &copied
			}
			got, err := capture.plan(Position{Phase: c.phase, LSN: at}, c.slot, lost)
			if got != c.want || (err == nil) == (c.want == "") {
				t.Errorf("planned %q, %v", got, err)
			}
			if err != nil && !isAnyFault(err) {
				t.Errorf("no fault: %v", err)
			}
		})
	}
}
