package postgres_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/pgbouncer"
	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/postgres"
	"attendee-relay/internal/secret"
)

// lookAlikes are better matches than what pg_catalog has; who calls one leaves a row behind, or is given another type.
const lookAlikes = `create schema hostile; grant all on schema hostile to public;
	create table hostile.called (name text); grant all on hostile.called to public;
	create function hostile.format(text, int) returns int language plpgsql as $$ begin insert into hostile.called
		values ('format'); return 1; end $$;
	create function hostile.upper(text) returns bytea language plpgsql as $$ begin insert into hostile.called
		values ('upper'); return ''; end $$;
	create function hostile.equal(int, int) returns bool language plpgsql as $$ begin insert into hostile.called
		values ('='); return false; end $$;
	create operator hostile.= (leftarg = int, rightarg = int, function = hostile.equal);
	create type hostile.text as (a int)`

// spoil leaves the pooler's one session in the worst state that a client can, and returns a function that reads that
// state back without changing it.
func spoil(t *testing.T, address string) (settings func() string) {
	t.Helper()
	neighbour := pgtest.Connect(t, address)
	_, err := neighbour.Exec(t.Context(), `SET ROLE pg_read_all_stats; SET search_path = hostile, pg_catalog;
		SET IntervalStyle = sql_standard; SET row_security = on;
		SET default_transaction_read_only = on; SET default_transaction_isolation = serializable; SET enable_indexscan = off;
		SET lc_numeric = 'C.UTF-8';
		SET extra_float_digits = -15; SET bytea_output = escape; SET transform_null_equals = on; SET join_collapse_limit = 1`)
	if err != nil {
		t.Fatal(err)
	}
	return func() string {
		rows, err := neighbour.Query(t.Context(), `SELECT pg_catalog.concat(name, '=', setting) FROM pg_catalog.pg_settings
			WHERE name OPERATOR(pg_catalog.=) ANY (ARRAY[
			'search_path', 'IntervalStyle', 'row_security', 'default_transaction_read_only', 'default_transaction_isolation',
			'enable_indexscan', 'join_collapse_limit'])`)
		if err != nil {
			t.Fatal(err)
		}
		list, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		var prepared string
		if err := neighbour.QueryRow(t.Context(),
			"SELECT pg_catalog.concat('prepared=', pg_catalog.count(*)) FROM pg_catalog.pg_prepared_statements").Scan(
			&prepared); err != nil {
			t.Fatal(err)
		}
		return strings.Join(list, " ") + " " + prepared
	}
}

// Beside a client that shares the session, changes its settings and plants look-alikes, a transaction runs as on a
// session of our own, the first time that a statement is sent and later; and the client finds its session as it left
// it.
func TestTransactionsBesideAHostileClient(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.Exec(t, lookAlikes)
	db.Exec(t, "grant pg_read_all_stats to "+pgtest.Role)
	t.Cleanup(func() { db.Exec(t, "revoke pg_read_all_stats from "+pgtest.Role) })
	pooler := pgbouncer.Start(t, db, "transaction")
	settings := spoil(t, pooler.URL(t))
	before := settings()
	pool, err := postgres.Pool(secret.New(pooler.URL(t)).From("DATABASE_URL", nil), "test", 2, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	run := func() {
		t.Helper()
		conn, err := pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Release()
		if got := conn.Conn().PgConn().Conn().RemoteAddr().String(); !strings.Contains(pooler.URL(t), got) {
			t.Fatalf("connected to %s", got)
		}
		var formatted, raised, role string
		var same bool
		batch := &pgx.Batch{}
		batch.Queue("SELECT format('%s', $1::int), upper($2::text), 1 = $1::int", 1, "x").QueryRow(func(row pgx.Row) error {
			return row.Scan(&formatted, &raised, &same)
		})
		batch.Queue("SELECT current_user").QueryRow(func(row pgx.Row) error { return row.Scan(&role) })
		batch.Queue("CREATE TEMPORARY TABLE IF NOT EXISTS written () ON COMMIT DROP")
		if err := postgres.Transact(t.Context(), conn.Conn(), batch); err != nil {
			t.Fatalf("%v\n%s", err, pooler.Log())
		}
		if formatted != "1" || raised != "X" || !same || role != pgtest.Role {
			t.Errorf("%q %q %v as %s", formatted, raised, same, role)
		}
		for name, value := range shown(t, conn.Conn()) {
			if name == "search_path" && value != postgres.OwnPath || name == "default_transaction_read_only" && value != "off" ||
				name == "join_collapse_limit" && value != "8" {
				t.Errorf("%s is %q", name, value)
			}
		}
		if err := postgres.Transact(t.Context(), conn.Conn(), failing()); postgres.Code(err) != "22012" {
			t.Errorf("a statement that fails: %v", err)
		}
	}
	for range 3 {
		run()
	}
	if after := settings(); after != before || !strings.Contains(before, "search_path=hostile") ||
		!strings.Contains(after, "prepared=0") {
		t.Errorf("the neighbour's session is %q, it left it as %q", after, before)
	}
	if called := pgtest.Values[string](t, db, "select name from hostile.called"); len(called) > 0 {
		t.Errorf("look-alikes were called: %q", called)
	}
}

func failing() *pgx.Batch {
	batch := &pgx.Batch{}
	batch.Queue("SELECT 1 / $1::int", 0)
	return batch
}

// A connection that must be direct reports a pooler, and one that may lead through a pooler names the parameters that
// the pooler does not take. The errors show nothing of the connection string.
func TestPoolersThatRefuse(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	for _, mode := range []string{"transaction", "session", "statement"} {
		pooler := pgbouncer.Start(t, db, mode)
		_, direct := postgres.Direct(t.Context(), secret.New(pooler.URL(t)).From("DATABASE_URL", nil), "test")
		_, walsender := postgres.Replication(t.Context(), secret.New(pooler.URL(t)).From("DATABASE_URL", nil), "test", 0)
		for _, err := range []error{direct, walsender} {
			if err == nil || !strings.Contains(err.Error(), "DATABASE_URL: it leads through a pooler") ||
				!strings.Contains(err.Error(), "set DATABASE_REPLICATION_URL") || !postgres.Unreachable(err) {
				t.Errorf("%s: %v", mode, err)
			}
		}
		for parameter, want := range map[string]string{
			"&options=-c%20geqo%3Doff%20-c%20search_path%3Dpublic" +
				"&search_path=public&IntervalStyle=iso_8601&statement_timeout=1": "",
			"&options=-c%20role%3Dpostgres": "options", "&work_mem=1MB": "a start-up parameter",
		} {
			conninfo := secret.New(pooler.URL(t)+parameter).From("DATABASE_URL", nil)
			err := ping(t, conninfo)
			switch {
			case want == "" && mode == "statement":
				if err == nil || !strings.Contains(err.Error(), "statement mode") {
					t.Errorf("%s%s: %v", mode, parameter, err)
				}
			case want == "" && err != nil:
				t.Errorf("%s%s: %v", mode, parameter, err)
			case want != "" && (err == nil ||
				!strings.Contains(err.Error(), "DATABASE_URL: the pooler that it leads through does not take "+want+" ") &&
					!strings.Contains(fmt.Sprint(err), "the start-up parameter "+want)):
				t.Errorf("%s%s: %v", mode, parameter, err)
			}
		}
		pooler.Stop(t)
		if err := ping(t, secret.New(pooler.URL(t)).From("DATABASE_URL", nil)); err == nil ||
			!strings.HasPrefix(err.Error(), "DATABASE_URL: ") {
			t.Errorf("%s, gone: %v", mode, err)
		}
	}
}

// ping runs one transaction.
func ping(t *testing.T, conninfo secret.String) error {
	t.Helper()
	pool, err := postgres.Pool(conninfo, "test", 1, true, nil)
	if err != nil {
		return err
	}
	defer pool.Close()
	conn, err := pool.Acquire(t.Context())
	if err != nil {
		return err
	}
	defer conn.Release()
	batch := &pgx.Batch{}
	batch.Queue("SELECT 1")
	return postgres.Transact(t.Context(), conn.Conn(), batch)
}
