package outbox_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/capturetest"
	"attendee-relay/internal/fault"
	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/postgres"
	"attendee-relay/internal/secret"
	"attendee-relay/outbox"
)

// migrate migrates as the relay's role.
func migrate(t *testing.T, rig *capturetest.Rig) error {
	t.Helper()
	conn, err := rig.DB.Pool(t).Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	return outbox.Migrate(t.Context(), conn.Conn())
}

// What waited before lanes were numbers stays in line with what comes after.
func TestLanesOfWhatWaitsAreMigrated(t *testing.T) {
	t.Parallel()
	rig, _ := newQueue(t, 1, 7, 8)
	rig.DB.Exec(t, `
		update attendee_relay.message set attendee_id = 'ID-8' where attendee_id = '8';
		update attendee_relay.pending p set lane = hashtextextended(m.attendee_id, 0) from attendee_relay.message m
			where m.id = p.id;
		drop function attendee_relay.lane; drop index attendee_relay.acceptance_failing; drop table attendee_relay.untold;
		alter table attendee_relay.message drop column headers, drop column had_secret, drop column recorded,
			drop column attempts_elsewhere;
		alter table attendee_relay.pending drop column unanswered;
		update attendee_relay.schema_version set version = 7`)

	if err := migrate(t, rig); err != nil {
		t.Fatal(err)
	}

	const lanes = `select string_agg(format('%s:%s', attendee_id, lane = attendee_relay.lane(attendee_id)), ' '
		order by id)
		from attendee_relay.pending join attendee_relay.message using (id)`
	if got := pgtest.Value[string](t, rig.DB, lanes); got != "7:t ID-8:t" {
		t.Errorf("lanes that are those of new messages: %s", got)
	}
	for attendee, number := range map[string]bool{
		"0": true, "007": true, "123456789012345678": true, "999999999999999999": true,
		"": false, "-1": false, "1.0": false, "1234567890123456789": false, "９": false, "7\n": false,
		"018f6f0e-0000-7000-8000-000000000001": false,
	} {
		const isNumber = "select attendee_relay.lane($1) = case when $2 then $1::text::numeric else hashtextextended($1, " +
			"0) end"
		if !pgtest.Value[bool](t, rig.DB, isNumber, attendee, number) {
			t.Errorf("lane of %q: %d", attendee, pgtest.Value[int64](t, rig.DB, "select attendee_relay.lane($1)", attendee))
		}
	}
}

// No migration, and no statement before, between or after the migrations, looks anything up in the role's search_path:
// adopt migrates on a session that has one.
func TestMigrationsLookNothingUpInTheRolesPath(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.Exec(t, "create domain public.timestamptz as pg_catalog.timestamptz; create domain public.uuid as "+
		"pg_catalog.uuid; create domain public.text as pg_catalog.text")
	for _, lookAlike := range []string{"pg_advisory_lock(bigint)", "pg_advisory_lock(pg_catalog.text)",
		"pg_advisory_unlock(bigint)", "pg_advisory_unlock(pg_catalog.text)", "hashtextextended(pg_catalog.text, bigint)"} {
		db.Exec(t, "create function public."+lookAlike+" returns bigint language plpgsql as $$ begin raise exception "+
			"'a look-alike was called'; end $$")
	}
	conn, err := postgres.DirectForQuery(t.Context(), secret.New(db.URL()+"&search_path=public,pg_catalog"), "test")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if err := outbox.Migrate(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	var path string
	if err := conn.QueryRow(t.Context(), "show search_path").Scan(&path); err != nil || path != postgres.OwnPath {
		t.Errorf("afterwards search_path is %q: %v", path, err)
	}
	foreign := pgtest.Values[string](t, db, `select format('%s.%s', a.attrelid::regclass, a.attname) from pg_attribute a
		join pg_type t on t.oid = a.atttypid
		where a.attrelid in (select oid from pg_class where relnamespace = 'attendee_relay'::regnamespace and relkind = 'r')
		and t.typnamespace = 'public'::regnamespace order by 1`)
	if len(foreign) > 0 {
		t.Errorf("columns of types of public: %q", foreign)
	}
}

// The session that migrates goes on to keep the books: it must write durably.
func TestTheBooksAreDurableAfterAMigration(t *testing.T) {
	t.Parallel()
	rig := peopleRig(t, peopleTable)
	rig.DB.Exec(t, "alter database "+rig.DB.Name()+" set synchronous_commit = off")
	rig.Start(t)
	rig.AwaitLeading(t)
	rig.DB.Exec(t, `create table commits (how text); grant insert on commits to attendee_relay;
		create function attendee_relay.noted() returns trigger language plpgsql as $$ begin insert into public.commits
			values (current_setting('synchronous_commit')); return null; end $$;
		create trigger noted after insert on attendee_relay.ledger for each row execute function attendee_relay.noted()`)
	rig.DB.Exec(t, "insert into people values (1, 'Accepted')")
	rig.CaughtUp(t)
	if how := pgtest.Values[string](t, rig.DB, "select how from commits"); len(how) != 1 || how[0] == "off" {
		t.Errorf("the ledger was written with synchronous_commit %q", how)
	}
}

// Adopting writes in the session that has migrated.
func TestASessionThatMigratesWritesDurably(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, pgtest.Empty())
	db.Exec(t, "alter database "+db.Name()+" set synchronous_commit = off")
	conn, err := pgx.Connect(t.Context(), db.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	for _, what := range []string{"the first", "a migration that finds nothing to do"} {
		if err := outbox.Migrate(t.Context(), conn); err != nil {
			t.Fatal(err)
		}
		var how string
		if err := conn.QueryRow(t.Context(), "show synchronous_commit").Scan(&how); err != nil {
			t.Fatal(err)
		}
		if how == "off" {
			t.Errorf("after %s synchronous_commit is off", what)
		}
	}
}

// backTo14 takes back what the migrations after version 14 have made.
const backTo14 = `drop index attendee_relay.ledger_moved; drop table attendee_relay.untold;
	alter table attendee_relay.ledger drop column accepted_as;
	alter table attendee_relay.spool drop column ledger_as;
	update attendee_relay.schema_version set version = 14`

// Rows that had moved before the upgrade are still found by their waiting messages, and by the messages of their
// waiting acceptances. A row with the same key and commit that has not moved is left alone, and so is one with a
// waiting message whose commit the ledger does not know.
func TestRowsThatMovedBeforeTheUpgradeAreMigrated(t *testing.T) {
	t.Parallel()
	rig, _ := newQueue(t, 1, 1)
	rig.DB.Exec(t, backTo14+`;
		delete from attendee_relay.pending; delete from attendee_relay.ledger;
		with recorded as (
			insert into attendee_relay.message (message_id, identity, source_key, delivery_key, commit_lsn, attendee_id,
				event_id, endpoint)
			select 'old' || i, i, k, i, lsn::pg_lsn, i, '1', md5(i)::uuid
			from (values ('1', 'k', '0/5'), ('3', 'k', '0/5'), ('11', 'n', '0/5'), ('12', 'n', '0/4')) as m (i, k, lsn)
			returning id, endpoint)
		insert into attendee_relay.pending (id, endpoint, lane, due_at) select id, endpoint, 1, now() from recorded;
		insert into attendee_relay.ledger (identity, source_key, commit_lsn)
			values ('2', 'k', '0/5'), ('3', 'k', '0/5'), ('4', 'k', '0/6'), ('5', 'l', '0/5'), ('7', 'm', '0/7'),
				('8', 'm', '0/7'), ('12', 'n', null), ('13', 'o', null);
		insert into attendee_relay.acceptance (identity, row_identity, source_key, commit_lsn, next_evaluation_at)
			values ('6', '7', 'm', '0/7', now()), ('8', '8', 'm', '0/7', now()), ('9', '7', 'm', '0/6', now())`)
	if err := migrate(t, rig); err != nil {
		t.Fatal(err)
	}
	if got := pgtest.Value[string](t, rig.DB, `select string_agg(identity || coalesce(' was ' || accepted_as, ''), ', '
		order by identity)
		from attendee_relay.ledger`); got != "12, 13, 2 was 1, 3, 4, 5, 7 was 6, 8" {
		t.Errorf("the ledger: %s", got)
	}
}

// Somebody who reads our tables in another order than a migration locks them ends it, and it goes on.
func TestAMigrationSurvivesADeadlock(t *testing.T) {
	t.Parallel()
	rig, _ := newQueue(t, 1, 1)
	rig.DB.Exec(t, backTo14)
	reader, err := rig.DB.OwnerPool(t).Begin(t.Context()) // a superuser may wait longer for a lock than the migration
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Rollback(context.WithoutCancel(t.Context())) }()
	const holds = "set local deadlock_timeout = '5min'; select from attendee_relay.spool"
	if _, err := reader.Exec(t.Context(), holds); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), rig.DB.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	ended := pgtest.Value[int64](t, rig.DB, deadlocks)
	migrated := make(chan error, 1)
	go func() { migrated <- outbox.Migrate(t.Context(), conn) }()
	pgtest.WaitUntil(t, capturetest.Patience, "it has the ledger and waits for the spool", func() (bool, string) {
		return pgtest.Value[bool](t, rig.DB, "select exists (select from pg_locks where not granted and pid = $1)",
			int32(conn.PgConn().PID())), ""
	})
	if _, err := reader.Exec(t.Context(), "select from attendee_relay.ledger"); err != nil {
		t.Fatalf("the reader was ended in place of the migration: %v", err)
	}
	if err := reader.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-migrated; err != nil {
		t.Errorf("migrating beside a reader: %v", err)
	}
	pgtest.WaitUntil(t, capturetest.Patience, "the server counts a deadlock", func() (bool, string) {
		return pgtest.Value[int64](t, rig.DB, deadlocks) > ended, ""
	})
}

// deadlocks counts those in this database; a session reports its own with a delay.
const deadlocks = "select deadlocks from pg_stat_database where datname = current_database()"

// A newer relay that migrates in the same moment is noticed.
func TestANewerRelayMigratesInTheSameMoment(t *testing.T) {
	t.Parallel()
	rig, _ := newQueue(t, 1, 1)
	rig.DB.Exec(t, "drop table attendee_relay.untold; update attendee_relay.schema_version set version = version - 1")
	newer, err := rig.DB.Pool(t).Begin(t.Context())
	if err == nil {
		_, err = newer.Exec(t.Context(), "update attendee_relay.schema_version set version = 99")
	}
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), rig.DB.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	migrated := make(chan error, 1)
	go func() { migrated <- outbox.Migrate(t.Context(), conn) }()
	pgtest.WaitUntil(t, capturetest.Patience, "it waits for the other", func() (bool, string) {
		return pgtest.Value[bool](t, rig.DB, "select exists (select from pg_locks where not granted and pid = $1)",
			int32(conn.PgConn().PID())), ""
	})
	if err := newer.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	var f *fault.Fault
	if err := <-migrated; !errors.As(err, &f) || f.Code != fault.SchemaNewer {
		t.Errorf("migrating beside a newer relay: %v", err)
	}
}

// A dump that another role restored: one of the tables is that role's, and it is not a right on the database that is
// missing.
func TestATableOfAnotherRolesIsNamedWhileMigrating(t *testing.T) {
	t.Parallel()
	rig, _ := newQueue(t, 1, 1)
	rig.DB.Exec(t, `
		alter table attendee_relay.ledger owner to postgres;
		grant all on attendee_relay.ledger to attendee_relay;
		update attendee_relay.schema_version set version = 14`)
	var f *fault.Fault
	if err := migrate(t, rig); !errors.As(err, &f) || f.Code != fault.Privilege {
		t.Fatalf("not a missing right: %v", err)
	}
	if !strings.Contains(f.Message, "table ledger") || strings.Contains(f.Fix, "DATABASE") {
		t.Errorf("%s; fix: %s", f.Message, f.Fix)
	}
}
