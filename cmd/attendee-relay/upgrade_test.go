package main

import (
	"crypto/sha256"
	_ "embed"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

//go:embed testdata/version_8.sql
var version8Rows string

// version8 makes the schema as version 8 left it, owned by the relay's role, and fills it; the ledger gets that many
// more rows.
func version8(t *testing.T, db *pgtest.DB, receiver string, ledger int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), db.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	run := func(sql string) {
		t.Helper()
		if _, err := conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
			t.Fatalf("%.200s: %v", sql, err)
		}
	}
	// As the migration library made it.
	run("create table attendee_relay.schema_version (version int4 not null); insert into attendee_relay.schema_version " +
		"values (8)")
	for version := range 8 {
		files, err := filepath.Glob(fmt.Sprintf("../../outbox/migrations/%03d_*.sql", version+1))
		if err != nil || len(files) != 1 {
			t.Fatalf("migration %d: %q, %v", version+1, files, err)
		}
		text, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		run("begin; set local search_path = pg_catalog; " + string(text) + "; commit")
	}
	db.Exec(t, strings.NewReplacer("ENDPOINT_WELL", endpointID(receiver+"/well"), "ENDPOINT_PAUSED",
		endpointID(receiver+"/paused"), "ENDPOINT_DISABLED", endpointID(receiver+"/disabled"), "URL", receiver, "SECRET",
		relaytest.Secret, "SLOT", db.Name()).Replace(version8Rows))
	db.Exec(t, "insert into attendee_relay.ledger select 'old' || i, i::text, '0/1' from generate_series(1, $1) as i",
		ledger)
	db.Exec(t, "select pg_create_logical_replication_slot($1, 'pgoutput')", db.Name())
	db.Exec(t, "update attendee_relay.checkpoint set lsn = pg_current_wal_insert_lsn()")
}

// endpointID is the id that version 8 gave an endpoint.
func endpointID(url string) string {
	h := sha256.New()
	for _, part := range []string{"attendee-relay/1", "endpoint", url} {
		_ = binary.Write(h, binary.BigEndian, uint64(len(part)))
		h.Write([]byte(part))
	}
	return uuid.UUID(h.Sum(nil)[:16]).String()
}

// The books of version 8, with messages, attempts and acceptances in every state, read the same after run has upgraded
// them, and what was pending is delivered once.
func TestUpgradeFromVersion8(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	receiver := relaytest.NewReceiver(t, nil)
	version8(t, db, receiver.URL, sized(t, "UPGRADE_LEDGER", 1000))
	books := func() []string {
		return slices.Concat(
			pgtest.Values[string](t, db,
				"select o::text from attendee_relay.outbox o where message_id like 'msg_old%' order by message_id"),
			pgtest.Values[string](t, db,
				"select a::text from attendee_relay.attempt a where message_id like 'msg_old%' order by message_id, number"),
			pgtest.Values[string](t, db, `select row(id, identity, row_identity, source_key, commit_lsn, committed_at, state,
				evaluations, empty_since,
				revision, next_evaluation_at, last_error, created_at)::text from attendee_relay.acceptance where source_key in ('1',
					'12') order by id`))
	}
	before := books()
	if len(before) != 10+19+2 {
		t.Fatalf("%d rows: %q", len(before), before)
	}
	want := append(onlyWALKeep[:1:1], "warn query_failing") // 12
	if unmet, _ := checked(t, relaytest.Environ(db), statusDone); !slices.Equal(unmet, want) {
		t.Errorf("check before: %q", unmet)
	}
	began := time.Now()
	captures := relaytest.Run(t, db, "DELIVERY_ENABLED=false")
	captures.AwaitRole(t, 4*ready, "leader")
	t.Logf("it leads after %v", time.Since(began).Round(time.Millisecond))
	if after := books(); !slices.Equal(after, before) {
		for i := range after {
			if after[i] != before[i] {
				t.Errorf("it was %s\nand is %s", before[i], after[i])
			}
		}
	}
	if unmet, _ := checked(t, relaytest.Environ(db), statusDone); !slices.Equal(unmet, want) {
		t.Errorf("check after: %q", unmet)
	}
	captures.Kill()

	relay := relaytest.Run(t, db)
	relay.AwaitRole(t, 4*ready, "leader")
	awaitState(t, db, "delivered", 2+3+2) // 4, 5, 6; 11, which waited, and 13, of the spool
	status, _, stderr := command(t, relaytest.Environ(db), "endpoints", "enable", receiver.URL+"/disabled", "--yes")
	if status != 0 {
		t.Fatalf("enabling: %s", stderr)
	}
	awaitState(t, db, "delivered", 2+3+2+1)
	relaytest.Accept(t, db, 1, 1)
	awaitState(t, db, "delivered", 2+3+2+1+1)
	var got []string
	for _, w := range receiver.Webhooks() {
		got = append(got, w.ID)
		if w.Verified != nil {
			t.Errorf("%s: %v", w.ID, w.Verified)
		}
	}
	slices.Sort(got)
	want = pgtest.Values[string](t, db,
		"select message_id from attendee_relay.outbox where state = 'delivered' and message_id not in ('msg_old1', "+
			"'msg_old10') order by message_id")
	if !slices.Equal(got, want) {
		t.Errorf("received %q, want %q", got, want)
	}
	const open = "select string_agg(format('%s %s', message_id, attempts), ', ' order by message_id) from " +
		"attendee_relay.outbox where state = 'pending'"
	if got := pgtest.Value[string](t, db, open); got != "msg_old7 3, msg_old9 0" {
		t.Errorf("pending are %s", got)
	}
	if left := pgtest.Value[int](t, db, "select count(*)::int from attendee_relay.spool"); left != 0 {
		t.Errorf("the spool has %d rows", left)
	}
	if owners := pgtest.Values[string](t, db, `select distinct relowner::regrole::text from pg_class
		where relnamespace = 'attendee_relay'::regnamespace`); !slices.Equal(owners, []string{pgtest.Role}) {
		t.Errorf("owned by %q", owners)
	}
}
