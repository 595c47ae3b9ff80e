package pgtest_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"attendee-relay/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestDatabasesAreFreshAndApart(t *testing.T) {
	t.Parallel()
	for i := range 4 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			db.Exec(t, "insert into events (name) values ($1)", "Sommerfest 🎉")
			db.Exec(t, "insert into fees (price) values (1); insert into fees (price) values (2)")
			if got := pgtest.Values[string](t, db, "select name from events"); len(got) != 1 || got[0] != "Sommerfest 🎉" {
				t.Errorf("events: %q", got)
			}
			if got := pgtest.Value[int64](t, db, "select max(id) from fees"); got != 2 {
				t.Errorf("the first fees are numbered up to %d", got)
			}
		})
	}
}

func TestEmptyHasNoTables(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, pgtest.Empty())
	if n := pgtest.Value[int64](t, db, "select count(*) from pg_tables where schemaname = 'public'"); n != 0 {
		t.Errorf("%d tables in an empty database", n)
	}
}

// A test leaves a slot in use and a client with an open transaction; the database must go all the same.
func TestDatabaseGoesWithItsSlotsAndClients(t *testing.T) {
	t.Parallel()
	keeper := pgtest.New(t, pgtest.Empty())
	var name string
	t.Run("leaves things behind", func(t *testing.T) {
		db := pgtest.New(t)
		name = db.Name()
		stream(t, db)
		conn, err := pgx.Connect(t.Context(), db.OwnerURL())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
		if _, err := conn.Exec(t.Context(), "begin; insert into fees (price) values (1)"); err != nil {
			t.Fatal(err)
		}
	})
	const left = `select (select count(*) from pg_replication_slots where slot_name = $1)
		+ (select count(*) from pg_database where datname = $1)`
	if n := pgtest.Value[int64](t, keeper, left, name); n != 0 {
		t.Errorf("%d of the slot and the database of %s are left", n, name)
	}
}

// stream makes a slot named after the database and streams from it without ever reading.
func stream(t *testing.T, db *pgtest.DB) {
	t.Helper()
	conn, err := pgconn.Connect(t.Context(), db.OwnerURL()+"&replication=database")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	db.Exec(t, "create publication everything for all tables")
	db.Exec(t, "select pg_create_logical_replication_slot($1, 'pgoutput')", db.Name())
	conn.Frontend().SendQuery(&pgproto3.Query{String: fmt.Sprintf("START_REPLICATION SLOT %s LOGICAL 0/0 "+
		"(proto_version '1', publication_names 'everything')", db.Name())})
	if err := conn.Frontend().Flush(); err != nil {
		t.Fatal(err)
	}
	answer, err := conn.ReceiveMessage(t.Context())
	if _, ok := answer.(*pgproto3.CopyBothResponse); !ok {
		t.Fatalf("starting to stream: %+v, %v", answer, err)
	}
	pgtest.WaitUntil(t, 10*time.Second, "the slot is in use", func() (bool, string) {
		active := pgtest.Value[bool](t, db, "select active from pg_replication_slots where slot_name = $1", db.Name())
		return active, fmt.Sprint("active: ", active)
	})
}

func TestOwnServerCanBeCrashed(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t, map[string]string{"wal_keep_size": "32MB"})
	db := pgtest.On(t, s)
	db.Exec(t, "insert into fees (price) values (1)")
	if err := s.Crash(); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	pgtest.WaitUntil(t, 10*time.Second, "the pool connects again", func() (bool, string) {
		err := db.Pool(t).Ping(t.Context())
		return err == nil, fmt.Sprint(err)
	})
	if got := pgtest.Value[string](t, db, "show wal_keep_size"); got != "32MB" {
		t.Errorf("wal_keep_size = %s", got)
	}
	if _, err := os.Stat(s.DataDir()); err != nil {
		t.Error(err)
	}
}
