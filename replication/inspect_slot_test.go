package replication_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/pgtest"
	"attendee-relay/replication"
)

// A slot that somebody has recreated or moved lies past the checkpoint: check reports the same as run.
func TestASlotPastTheCheckpointIsLost(t *testing.T) {
	t.Parallel()
	for onLoss, want := range map[string]string{"resync": "warn slot_lost", "stop": "fail slot_lost"} {
		db := pgtest.New(t, pgtest.Empty())
		db.Exec(t, table+strings.ReplaceAll(`; create publication "PUB" for table people`, "PUB", db.Name()))
		db.Exec(t, "select pg_create_logical_replication_slot($1, 'pgoutput')", db.Name())
		i := inspector(t, db)
		i.Config.OnLoss, i.At.Phase, i.At.LSN = onLoss, replication.PhaseStreaming, 1
		if found := inspect(t, i); !slices.Equal(withoutWALKeep(unmet(found)), []string{want}) {
			t.Errorf("%s: not ok: %q, want %q", onLoss, unmet(found), want)
		}
		db.Exec(t, "select pg_drop_replication_slot($1)", db.Name())
	}
}

func TestInspectSlots(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, prepare, want, repair string
		change                      func(*replication.Inspector)
	}{
		{"manual setup, no slot", "create publication PUB for table people", "fail slot_missing", "",
			func(i *replication.Inspector) { i.Config.Setup = "manual" }},
		{"manual setup, no publication", "select pg_create_logical_replication_slot('PUB', 'pgoutput')",
			"fail publication_missing", "",
			func(i *replication.Inspector) { i.Config.Setup = "manual" }},
		{"a slot older than its publication", "select pg_create_logical_replication_slot('PUB', 'pgoutput')",
			"fail publication_missing", "", nil},
		{"of another kind", "create publication PUB for table people; select pg_create_physical_replication_slot('PUB')",
			"fail slot_lost", "select pg_drop_replication_slot('PUB')", nil},
		{"a slot that was read and is gone, resync", "select", "warn slot_missing",
			"select pg_create_logical_replication_slot('PUB', 'pgoutput')",
			func(i *replication.Inspector) { i.At.Phase, i.At.LSN = replication.PhaseStreaming, math.MaxUint64 }},
		{"a slot that was read and is gone, stop", "select", "fail slot_missing",
			"select pg_create_logical_replication_slot('PUB', 'pgoutput')",
			func(i *replication.Inspector) {
				i.At.Phase, i.At.LSN, i.Config.OnLoss = replication.PhaseStreaming, math.MaxUint64, "stop"
			}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t, pgtest.Empty())
			t.Cleanup(func() {
				db.Exec(t, "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1", db.Name())
			})
			db.Exec(t, table)
			if c.change != nil && strings.HasPrefix(c.name, "a slot that was read") {
				db.Exec(t, "create publication "+db.Name()+" for table people")
			}
			db.Exec(t, strings.ReplaceAll(c.prepare, "PUB", db.Name()))
			i := inspector(t, db)
			if c.change != nil {
				c.change(&i)
			}
			found := inspect(t, i)
			if got := withoutWALKeep(unmet(found)); !slices.Equal(got, []string{c.want}) {
				t.Fatalf("not ok: %q, want %q:\n%s", got, c.want, describe(found))
			}
			repair := strings.ReplaceAll(c.repair, "PUB", db.Name())
			for _, f := range found.Findings {
				if f.Level != fault.OK && f.Code != fault.WALKeepUnlimited && repair == "" {
					repair = f.Fix
				}
				if f.Level == fault.Fail && i.Config.OnLoss == "stop" && !strings.Contains(f.Fix, "adopt --keep-pending") {
					t.Errorf("a relay that stops goes on after adopt alone, and check says %q", f.Fix)
				}
			}
			made := slotMade(t, db)
			paste(t, db, nil, repair)
			if found := inspect(t, i); len(withoutWALKeep(unmet(found))) > 0 {
				t.Errorf("not ok after %q:\n%s", repair, describe(found))
			}
			if c.want == "fail publication_missing" && slotMade(t, db) == made {
				t.Error("the slot is still the one from before the publication")
			}
		})
	}
}

// slotMade says from where on the test's slot is read; "": there is none.
func slotMade(t *testing.T, db *pgtest.DB) string {
	t.Helper()
	return strings.Join(pgtest.Values[string](t, db,
		"select confirmed_flush_lsn::text from pg_replication_slots where slot_name = $1 and plugin is not null", db.Name()),
		" ")
}

// idle_replication_slot_timeout is of Postgres 18.
func TestIdleSlotTimeout(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, map[string]string{"max_slot_wal_keep_size": "1GB"})
	db := pgtest.On(t, server, pgtest.Empty())
	if pgtest.Value[int](t, db, "select current_setting('server_version_num')::int") < 180000 {
		t.Skip("this version has none")
	}
	db.Exec(t, table)
	paste(t, db, server, "alter system set idle_replication_slot_timeout = '1d'; select pg_reload_conf()")
	repaired(t, inspector(t, db), db, server, "warn idle_slot_timeout")
}
