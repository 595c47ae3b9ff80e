package outbox_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"attendee-relay/internal/capturetest"
	"attendee-relay/internal/fault"
	"attendee-relay/internal/pgtest"
	"attendee-relay/outbox"
)

// refuse makes every write of a kind to a table fail with a code that nobody expects.
func refuse(t *testing.T, rig *capturetest.Rig, kind, table string) (undo func()) {
	t.Helper()
	rig.DB.Exec(t, `create function public.refuse() returns trigger language plpgsql as
		$$ begin raise exception 'Kowalski' using errcode = 'ZZ999'; end $$`)
	rig.DB.Exec(t, fmt.Sprintf(
		"create trigger refuse before %s on attendee_relay.%s for each row execute function public.refuse()", kind, table))
	return func() { rig.DB.Exec(t, "drop trigger refuse on attendee_relay."+table) }
}

// Whether a call of rendering hangs or fails, there is a fault, and none any more when it works again.
func TestRenderingDoesNotStopSilently(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stop func(*testing.T, *capturetest.Rig) (undo func())
		want string
	}{
		"a call hangs": {func(_ *testing.T, rig *capturetest.Rig) func() { return rig.Resolver().Hold() },
			"a call has not returned"},
		"what was evaluated cannot be stored": {func(t *testing.T, rig *capturetest.Rig) func() {
			return refuse(t, rig, "delete", "acceptance")
		}, "SQLSTATE ZZ999"},
		"a table is gone": {func(t *testing.T, rig *capturetest.Rig) func() {
			rig.DB.Exec(t, "alter table attendee_relay.acceptance rename column next_evaluation_at to away")
			return func() {
				rig.DB.Exec(t, "alter table attendee_relay.acceptance rename column away to next_evaluation_at")
			}
		}, "SQLSTATE 42703"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig := peopleRig(t, peopleTable)
			rig.Limit, rig.Outbox.QueryTimeout, rig.Outbox.Settle = time.Second, time.Second, time.Second
			rig.Start(t)
			rig.AwaitLeading(t)
			rig.DB.Exec(t, "insert into people values (1, 'Accepted')")
			rig.CaughtUp(t) // the acceptance waits for a second
			undo := c.stop(t, rig)
			rig.Resolver().Nudge()
			f := rig.AwaitFault(t, fault.RenderingFailing)
			undo()
			if f.Partial || !strings.Contains(f.Message, c.want) || strings.Contains(f.Message, "Kowalski") {
				t.Errorf("%+v", f)
			}
			rig.Settled(t)
			rig.AwaitNoFault(t)
		})
	}
}

// What is too old and cannot be erased is said, and stops nothing.
func TestRetentionDoesNotStopSilently(t *testing.T) {
	t.Parallel()
	rig := peopleRig(t, peopleTable)
	rig.Limit = time.Second
	rig.Start(t)
	rig.AwaitLeading(t)
	rig.DB.Exec(t, "alter table attendee_relay.retention rename to away")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c := outbox.Config{PayloadRetention: time.Second, Retention: time.Hour}
		_ = outbox.NewRetention(rig.DB.Pool(t), c, func() bool { return true }, rig.Board, zaptest.NewLogger(t)).Run(ctx)
	}()
	if f := rig.AwaitFault(t, fault.RetentionFailing); !f.Partial || !strings.Contains(f.Message, "42P01") {
		t.Errorf("%+v", f)
	}
	rig.DB.Exec(t, "alter table attendee_relay.away rename to retention")
	pgtest.WaitUntil(t, capturetest.Patience, "no fault is shown", func() (bool, string) {
		return len(rig.Board.List()) == 0, fmt.Sprint(rig.Board.List())
	})
	stop()
	<-ended
}
