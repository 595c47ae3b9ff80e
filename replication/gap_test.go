package replication_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"attendee-relay/internal/capturetest"
	"attendee-relay/internal/fault"
	"attendee-relay/internal/pgtest"
	"attendee-relay/outbox"
	"attendee-relay/replication"
)

// orderRig watches people whose SOURCE_KEY is not their identity: several rows of one order share it.
func orderRig(t *testing.T) *capturetest.Rig {
	t.Helper()
	rig := newRig(t, pgtest.New(t, pgtest.Empty()),
		"create table people (id int primary key, status text, code text, ready bool default true)")
	rig.Source.Key = "code"
	rig.Outbox.Query = `select code as key, id as attendee_id, 'Ada' as name, 'Lovelace' as surname,
		'ada@example.org' as email, 1 as price, 'EUR' as currency, 1 as event_id, 'Party' as event_name,
		'https://example.org/hook' as webhook_url, id::text as delivery_key
		from people where code = any ($1::text[]) and ready`
	return rig
}

// loseOffline stops the rig and drops its slot.
func loseOffline(t *testing.T, rig *capturetest.Rig) {
	t.Helper()
	rig.Stop(t)
	rig.DB.AwaitFreeSlot(t, rig.Source.Slot)
	rig.DB.Exec(t, "select pg_drop_replication_slot($1)", rig.Source.Slot)
}

// Of two rows of an order one is cancelled and the other accepted: that is no move, for the first is still there.
func TestSharedKeyInAGap(t *testing.T) {
	t.Parallel()
	rig := orderRig(t)
	rig.Start(t)
	rig.AwaitLeading(t)
	rig.DB.Exec(t, "insert into people values (1, 'Accepted', 'order7'), (2, 'new', 'order7'), (3, 'Accepted', 'order8')")
	rig.Settled(t)
	loseOffline(t, rig)
	rig.DB.Exec(t, "update people set status = 'cancelled' where id = 1")
	rig.DB.Exec(t, "update people set status = 'Accepted' where id = 2")
	rig.DB.Exec(t, "update people set id = 33 where id = 3") // moved, not announced
	rig.Start(t)
	rig.Settled(t)
	got := slices.Sorted(slices.Values(rig.Announced(t, "%1$s")))
	if !slices.Equal(slices.Compact(got), []string{"1", "2", "3"}) {
		t.Errorf("announced %q", got)
	}
	if got := rig.Ledger(t); !slices.Equal(got, []string{"2", "33"}) {
		t.Errorf("the ledger has %q", got)
	}
}

// An acceptance that waits goes with its row's key, not with whoever has the old key by now.
func TestWaitingKeyChangedInAGap(t *testing.T) {
	t.Parallel()
	rig := orderRig(t)
	rig.Start(t)
	rig.AwaitLeading(t)
	rig.DB.Exec(t, "insert into people values (1, 'Accepted', 'old', false)")
	rig.CaughtUp(t)
	loseOffline(t, rig)
	rig.DB.Exec(t, "update people set code = 'fresh', ready = true where id = 1")
	rig.DB.Exec(t, "insert into people values (9, 'new', 'old', true)")
	rig.Start(t)
	rig.Settled(t)
	got := pgtest.Values[string](t, rig.DB, "select source_key || ' attendee ' || attendee_id from attendee_relay.outbox")
	if !slices.Equal(got, []string{"fresh attendee 1"}) {
		t.Errorf("the outbox has %q", got)
	}
}

// adoptAs is the command adopt, with the rig's settings.
func adoptAs(t *testing.T, rig *capturetest.Rig) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), rig.DB.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	settings := outbox.Settings{Table: rig.Source.Table, Key: rig.Source.Key, Status: rig.Source.Status,
		Accepted: rig.Source.Accepted, Repeat: rig.Outbox.Repeat}
	source, err := replication.ReadSource(t.Context(), conn, rig.Source)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := outbox.PlanAdoption(t.Context(), conn, rig.Outbox, settings, rig.Deployment, source, outbox.Choice{})
	if err == nil {
		err = plan.Adopt(t.Context(), conn, replication.PhaseOwnSlot)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A second adoption before a relay has taken the baseline changes nothing: what the first one marked is not announced.
func TestAdoptedTwice(t *testing.T) {
	t.Parallel()
	rig := newRig(t, pgtest.New(t, pgtest.Empty()), table)
	rig.DB.Exec(t, "insert into people values (1, 'Accepted'), (2, 'VIP'), (3, 'VIP')")
	rig.Start(t)
	rig.CaughtUp(t)
	rig.Stop(t)
	rig.Source.Accepted = []string{"Accepted", "VIP"}
	adoptAs(t, rig)
	adoptAs(t, rig)
	rig.Start(t)
	rig.Settled(t)
	if got := rig.Keys(t); len(got) > 0 {
		t.Errorf("announced %q of a baseline that is only marked", got)
	}
	if got := rig.Ledger(t); len(got) != 3 {
		t.Errorf("the ledger has %q", got)
	}
}

// Rows of another table are other rows, also where their identities are the same.
func TestAdoptedForAnotherTable(t *testing.T) {
	t.Parallel()
	rig := newRig(t, pgtest.New(t, pgtest.Empty()),
		table+"create table guests (id int primary key, status text, note text);")
	rig.Outbox.Baseline = "send"
	rig.DB.Exec(t, "insert into people values (1, 'Accepted')")
	rig.DB.Exec(t, "insert into guests values (1, 'Accepted'), (2, 'Accepted')")
	rig.Start(t)
	rig.Settled(t)
	rig.Stop(t)
	rig.Source.Table, rig.Outbox.Query = "public.guests", strings.ReplaceAll(query, "from people", "from guests")
	rig.DB.Exec(t, "alter publication "+rig.Source.Publication+" set table guests")
	rig.Marker = strings.ReplaceAll(rig.Marker, "people", "guests")
	adoptAs(t, rig)
	rig.Start(t)
	rig.Settled(t)
	if got := slices.Sorted(slices.Values(rig.Keys(t))); !slices.Equal(got, []string{"1", "1", "2"}) {
		t.Errorf("announced %q, want 1 of people, 1 and 2 of guests", got)
	}
}

// Tables whose columns or children make the comparison more than one of plain texts.
func TestComparedWithUnusualTables(t *testing.T) {
	t.Parallel()
	const people = "insert into people (id, status) values ('1', 'Accepted'), ('2', 'new')"
	for name, ddl := range map[string]string{
		"identity with a collation": `
			create table people (id text collate "POSIX" primary key, status text, note text);` + people,
		"status with a collation": `
			create table people (id text primary key, status text collate "POSIX", note text);` + people,
		"a table inherits from it": `create table people (id text primary key, status text, note text);
			create table vips (primary key (id)) inherits (people);` + people +
			"; insert into vips (id, status) values ('1', 'Accepted'), ('7', 'Accepted')",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig := newRig(t, pgtest.New(t, pgtest.Empty()), ddl)
			rig.Outbox.Query = strings.ReplaceAll(query, "int[]", "text[]")
			rig.Marker = "insert into people (id, status) values ('marker', 'marker') on conflict (id) do update set status = " +
				"'marker'"
			rig.Start(t)
			rig.CaughtUp(t)
			loseOffline(t, rig)
			rig.DB.Exec(t, "update people set status = 'Accepted' where id = '2'")
			rig.Start(t)
			rig.Settled(t)
			if got := rig.Ledger(t); !slices.Equal(got, []string{"1", "2"}) || !slices.Equal(rig.Keys(t), []string{"2"}) {
				t.Errorf("the ledger has %q, announced %q", got, rig.Keys(t))
			}
		})
	}
}

// Two relays with different REPLICATION_SLOT do not take the lead from each other; the last one leaves no slot behind.
func TestSlotOfAnotherName(t *testing.T) {
	t.Parallel()
	rig := newRig(t, pgtest.New(t, pgtest.Empty()), table)
	rig.Start(t)
	rig.AwaitLeading(t)
	renamed := capturetest.Rig{DB: rig.DB, Source: rig.Source, Outbox: rig.Outbox, Deployment: rig.Deployment,
		Marker: rig.Marker}
	renamed.Source.Slot += "_b"
	renamed.Start(t)
	renamed.AwaitFault(t, fault.SlotBusy)
	rig.DB.Exec(t, "insert into people values (1, 'Accepted')")
	rig.Settled(t)
	rig.Stop(t)
	renamed.AwaitLeading(t)
	rig.DB.Exec(t, "insert into people values (2, 'Accepted')")
	renamed.Settled(t)
	if got := renamed.Keys(t); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("announced %q", got)
	}
	slots := pgtest.Values[string](t, rig.DB,
		"select slot_name::text from pg_replication_slots where database = current_database()")
	if !slices.Equal(slots, []string{renamed.Source.Slot}) {
		t.Errorf("the slots are %q", slots)
	}
}

// A relay that is killed while its slot is made leaves a walsender that continues making it as long as a transaction is
// open. The next relay ends that walsender, shows what making its own slot waits for, and starts when that is over.
func TestCrashWhileTheSlotIsMade(t *testing.T) {
	t.Parallel()
	rig := newRig(t, pgtest.New(t, pgtest.Empty()), table)
	rig.Start(t)
	rig.CaughtUp(t)
	loseOffline(t, rig)
	rig.DB.Exec(t, "update attendee_relay.checkpoint set phase = 'own_slot'") // stored before the slot is made
	open, err := rig.DB.OwnerPool(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = open.Rollback(context.Background()) }()
	if _, err := open.Exec(t.Context(), "insert into people values (77, 'new')"); err != nil {
		t.Fatal(err)
	}
	leaveHalfMadeSlot(t, rig)

	rig.Start(t)
	rig.AwaitFault(t, fault.SlotPending)
	if err := open.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	rig.AwaitLeading(t)
	rig.DB.Exec(t, "insert into people values (1, 'Accepted')")
	rig.Settled(t)
	if got := rig.Keys(t); !slices.Equal(got, []string{"1"}) || len(rig.Board.List()) > 0 {
		t.Errorf("announced %q, faults %v", got, rig.Board.List())
	}
}

// leaveHalfMadeSlot is a relay's walsender whose process is killed: no cancel request is sent, and the server goes on.
func leaveHalfMadeSlot(t *testing.T, rig *capturetest.Rig) {
	t.Helper()
	config, err := pgconn.ParseConfig(rig.DB.URL())
	if err != nil {
		t.Fatal(err)
	}
	config.RuntimeParams["replication"] = "database"
	config.RuntimeParams["application_name"] = "attendee-relay/test walsender"
	dialed := false
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if dialed {
			return nil, errors.New("a killed process sends no cancel request")
		}
		dialed = true
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	dead, err := pgconn.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	made := make(chan struct{})
	go func() {
		defer close(made)
		_, _ = dead.Exec(context.Background(),
			"CREATE_REPLICATION_SLOT "+rig.Source.Slot+" LOGICAL pgoutput EXPORT_SNAPSHOT").ReadAll()
	}()
	pgtest.WaitUntil(t, capturetest.Patience, "the slot is being made", func() (bool, string) {
		return pgtest.Value[int](t, rig.DB, "select count(*)::int from pg_replication_slots where slot_name = $1",
			rig.Source.Slot) == 1, ""
	})
	_ = dead.Conn().Close()
	<-made
}
