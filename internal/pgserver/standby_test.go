package pgserver_test

import (
	"context"
	"testing"
	"time"

	"attendee-relay/internal/pgserver"
)

func TestStandbyFollowsAndIsPromoted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	primary, err := pgserver.Start(ctx, pgserver.Options{Fast: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = primary.Stop(context.Background()) })
	ask(t, primary, "create table kept as select 1 as n; select 'made'")

	standby, err := primary.Standby(ctx, pgserver.StandbyOptions{Name: "second", Slot: "second",
		Settings: map[string]string{"work_mem": "1MB"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = standby.Stop(context.Background()) })
	got := ask(t, standby, "select pg_is_in_recovery()::text || ' ' || current_setting('work_mem')")
	if got != "true 1MB" {
		t.Errorf("in recovery, work_mem: %s", got)
	}

	ask(t, primary, "insert into kept values (2); select 'made'")
	for ask(t, standby, "select count(*)::text from kept") != "2" {
		time.Sleep(10 * time.Millisecond)
		if ctx.Err() != nil {
			t.Fatal("the standby does not follow")
		}
	}
	if err := primary.Crash(); err != nil {
		t.Fatal(err)
	}
	if err := standby.Promote(ctx); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, standby,
		"insert into kept values (3); select count(*)::text || ' ' || pg_is_in_recovery() from kept"); got != "3 false" {
		t.Errorf("after the promotion, rows and in recovery: %s", got)
	}
	if err := standby.Promote(ctx); err == nil {
		t.Error("a primary was promoted")
	}
}
