package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

// invoke runs the built binary to its end.
func invoke(t *testing.T, environ []string, args ...string) result {
	t.Helper()
	p := relaytest.Start(t, environ, args...)
	status := p.Exit(t, time.Minute)
	return result{status: status, stdout: p.Stdout(), stderr: p.Stderr()}
}

// checked runs check --json and returns what is not ok, as "level code".
func checked(t *testing.T, environ []string, status int) (unmet []string, findings []fault.Finding) {
	t.Helper()
	got := invoke(t, environ, "check", "--json")
	if err := json.Unmarshal([]byte(got.stdout), &findings); err != nil {
		t.Fatalf("%v: %+v", err, got)
	}
	for _, f := range findings {
		if f.Level != fault.OK {
			unmet = append(unmet, fmt.Sprintf("%s %s", f.Level, f.Code))
		}
		if f.Code == "" || f.Message == "" || f.Level != fault.OK && f.Fix == "" {
			t.Errorf("it says too little: %+v", f)
		}
		if !slices.Contains(fault.Codes, f.Code) && !slices.Contains(fault.CheckCodes, f.Code) {
			t.Errorf("code %s is in no list", f.Code)
		}
	}
	if got.status != status {
		t.Errorf("exit status %d, want %d: %q %s", got.status, status, unmet, got.stderr)
	}
	return unmet, findings
}

// The tests' server keeps WAL without limit, which is worth a warning.
var onlyWALKeep = []string{"warn wal_keep_unlimited"}

func TestCheckBeforeAndWhileARelayRuns(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	if unmet, _ := checked(t, relaytest.Environ(db), statusDone); !slices.Equal(unmet, onlyWALKeep) {
		t.Errorf("nothing exists yet: not ok: %q", unmet)
	}
	checkUntouched(t, db)
	relaytest.Run(t, db).AwaitRole(t, ready, "leader")
	if unmet, findings := checked(t, relaytest.Environ(db), statusDone); !slices.Equal(unmet, onlyWALKeep) {
		t.Errorf("a relay runs: not ok: %q: %+v", unmet, findings)
	}
	// What moves on meanwhile is no fault.
	load := relaytest.StartLoad(t, db, relaytest.Seed(t), false, relaytest.AddEvent(t, db, "http://127.0.0.1:1/"))
	for range 5 {
		if unmet, _ := checked(t, relaytest.Environ(db), statusDone); !slices.Equal(unmet, onlyWALKeep) {
			t.Errorf("under load: not ok: %q", unmet)
		}
	}
	load.Stop(t)
	other := append(relaytest.Environ(db), "DEPLOYMENT=other")
	if unmet, _ := checked(t, other, statusFailed); !slices.Contains(unmet, "fail slot_busy") ||
		!slices.Contains(unmet, "fail cluster_changed") {
		t.Errorf("another deployment's: not ok: %q", unmet)
	}
	text := invoke(t, other, "check")
	if !strings.Contains(text.stdout, "fail  slot_busy") ||
		!strings.Contains(text.stdout, "fix: SELECT pg_catalog.pg_terminate_backend(") || text.status != statusFailed {
		t.Errorf("for people: %+v", text)
	}
	// What passed is named by the requirement, and the last line says what did not.
	if lines := strings.Split(strings.TrimSpace(text.stdout), "\n"); !slices.ContainsFunc(lines, func(l string) bool {
		return strings.HasPrefix(l, "ok    publication ")
	}) ||
		!strings.HasPrefix(lines[len(lines)-1], "Not met: slot_busy, cluster_changed; 1 warning: wal_keep_unlimited.") {
		t.Errorf("for people: %s", text.stdout)
	}
	text = invoke(t, relaytest.Environ(db), "check")
	if !strings.HasSuffix(text.stdout, "\nAll requirements are met; 1 warning: wal_keep_unlimited.\n") ||
		!strings.Contains(text.stdout, "\nok    slot ") || strings.Contains(text.stdout, "ok    slot_") {
		t.Errorf("for people: %s", text.stdout)
	}
}

// An operator gets all that is wrong in one round.
func TestCheckNamesEverythingAtOnce(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, map[string]string{"wal_level": "replica"})
	db := pgtest.On(t, server)
	db.Exec(t, `alter table form_values drop constraint form_values_attendee_id_fkey;
		alter table attendees drop constraint attendees_parent_id_fkey;
		alter table attendees drop constraint attendees_pkey; drop table groups cascade`)
	want := append([]string{"fail wal_level", "fail no_replica_identity", "fail publication_unsafe"}, onlyWALKeep...)
	unmet, _ := checked(t, relaytest.Environ(db), statusFailed)
	if !slices.Equal(unmet, append(want, "fail query_invalid")) {
		t.Errorf("not ok: %q", unmet)
	}
}

func TestCheckOfADatabaseThatIsAway(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]string{
		"nobody listens": "postgres://relay:hunter2@127.0.0.1:1/x",
		"no such host":   "postgres://relay:hunter2@nowhere.invalid/x",
	} {
		environ := []string{"DATABASE_URL=" + url}
		unmet, _ := checked(t, environ, statusFailed)
		text := invoke(t, environ, "check")
		if !slices.Equal(unmet, []string{"fail database_unreachable"}) || text.status != statusFailed ||
			strings.Contains(text.stdout+text.stderr, "hunter2") {
			t.Errorf("%s: %q %+v", name, unmet, text)
		}
	}
	if got := invoke(t, []string{"DATABASE_URL=mysql://x"}, "check"); got.status != statusUsage {
		t.Errorf("a wrong environment: %+v", got)
	}
}

func TestCheckOfTwoDatabases(t *testing.T) {
	t.Parallel()
	db, other := pgtest.New(t), pgtest.New(t)
	apart := append(relaytest.Environ(db), "DATABASE_REPLICATION_URL="+other.URL())
	if unmet, _ := checked(t, apart, statusFailed); !slices.Equal(unmet, append(onlyWALKeep[:1:1], "fail same_database")) {
		t.Errorf("not ok: %q", unmet)
	}
	// The same database by another address, as behind a pooler.
	same := append(relaytest.Environ(db), "DATABASE_REPLICATION_URL="+db.URL()+"&connect_timeout=9")
	if unmet, findings := checked(t, same, statusDone); !slices.Equal(unmet, onlyWALKeep) ||
		findings[len(findings)-1].Code != fault.SameDatabase {
		t.Errorf("not ok: %q", unmet)
	}
}

// A role that owns nothing, with a publication and a slot that a DBA made from what check and setup --sql print, is
// enough.
func TestManualSetupByARoleThatOwnsNothing(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	role := "relay_" + db.Name()
	db.Exec(t, "create role "+role+" login password 'x'")
	t.Cleanup(func() { db.Exec(t, "drop owned by "+role+" cascade; drop role "+role) })
	receiver := relaytest.NewReceiver(t, nil)
	event := relaytest.AddEvent(t, db, receiver.URL)
	environ := append(relaytest.Environ(db), "DATABASE_URL="+db.As(t, role, "x"), "REPLICATION_SETUP=manual",
		"REPLICATION_PUBLICATION="+db.Name())
	for round := 1; ; round++ {
		got := invoke(t, environ, "check", "--json")
		if got.status == statusDone {
			break
		}
		if round > 2 {
			t.Fatalf("still not met after %d rounds: %s", round, got.stdout)
		}
		unmet, findings := checked(t, environ, statusFailed)
		t.Log(unmet)
		for _, f := range findings {
			if f.Level == fault.Fail {
				for statement := range strings.SplitSeq(f.Fix, ";") {
					t.Log(statement)
					db.Exec(t, statement)
				}
			}
		}
	}
	relaytest.RunWith(t, environ).AwaitRole(t, ready, "leader")
	relaytest.Accept(t, db, event, 3)
	receiver.Await(t, 3, ready)
	awaitState(t, db, "delivered", 3)
	const owned = `select string_agg(format('%I.%I', n.nspname, c.relname), ' ') from pg_class c
		join pg_namespace n on n.oid = c.relnamespace
		where relowner = $1::regrole and nspname not in ('attendee_relay', 'pg_toast')`
	if owns := pgtest.Value[*string](t, db, owned, role); owns != nil {
		t.Errorf("the role owns %s", *owns)
	}
}
