package main

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"attendee-relay/internal/pgtap"
	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

// clutter makes the tables of an application that has many: some with rows stored in TOAST tables, whose schema no role
// may use, some partitioned, some without a key, in a schema of their own.
const clutter = `
	create schema clutter;
	do $$ begin
		for i in 1 .. 2900 loop
			execute format('create table clutter.t%s (id int primary key, body text)', i);
			if i % 500 = 0 then
				execute format('create table clutter.keyless%s (id int)', i);
			end if;
		end loop;
		create table clutter.parted (id int primary key) partition by range (id);
		for i in 1 .. 100 loop
			execute format('create table clutter.part%s partition of clutter.parted for values from (%s) to (%s)', i, i, i + 1);
		end loop;
	end $$;
	create type clutter.mood as enum ('glad');
	create materialized view clutter.seen as select 1 as id;`

// Every statement of ours gives the README's role the same answer beside thousands of tables, with analysed catalogs,
// under every setting that a role or a database may have: each planner switch, odd costs, and every setting that
// changes the meaning of SQL.
func TestStatementsUnderEverySetting(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, nil)
	db := pgtest.On(t, server)
	db.Exec(t, clutter)
	db.Exec(t, "analyze")
	statements := exercised(t, db)

	plain := answers(t, db, statements, "")
	for _, s := range statements {
		if code := plain[s.SQL].code; code != "" && !excused(s, code) {
			t.Errorf("without any setting: %s ends with %s: %s", headline(s.SQL), code, plain[s.SQL].text)
		}
	}
	wanted := invoke(t, relaytest.Environ(db), "check", "--json").stdout
	for _, setting := range settingsToTry(t, db) {
		set := func(action string) {
			db.Exec(t, fmt.Sprintf("alter role %s in database %s %s", pgtest.Role, db.Name(), action))
		}
		set("set " + setting)
		now := answers(t, db, statements, setting)
		for _, s := range statements {
			if is, was := now[s.SQL], plain[s.SQL]; is.code != was.code || is.rows != was.rows && !moves(s) {
				t.Errorf("with %s: %s gives %+v, else %+v", setting, headline(s.SQL), is, was)
			}
		}
		if got := invoke(t, relaytest.Environ(db), "check", "--json"); steady(got.stdout) != steady(wanted) {
			t.Errorf("with %s, check says\n%s%s\nand else\n%s", setting, got.stdout, got.stderr, wanted)
		}
		set("reset all")
	}
}

// A relay starts, captures and delivers with each group of settings together.
func TestRelayUnderHostileSettings(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	receiver := relaytest.NewReceiver(t, nil)
	event := relaytest.AddEvent(t, db, receiver.URL)
	for i, group := range [][]string{
		{"enable_indexscan = off", "enable_indexonlyscan = off", "enable_bitmapscan = off"},
		{"enable_seqscan = off", "enable_hashjoin = off", "enable_mergejoin = off", "enable_nestloop = off",
			"enable_sort = off"},
		{"from_collapse_limit = 1", "join_collapse_limit = 1", "random_page_cost = 0", "seq_page_cost = 1000000",
			"plan_cache_mode = force_custom_plan"},
		hostile,
	} {
		for _, setting := range group {
			db.Exec(t, fmt.Sprintf("alter role %s in database %s set %s", pgtest.Role, db.Name(), setting))
		}
		relay := relaytest.Run(t, db)
		relay.AwaitRole(t, ready, "leader")
		relaytest.Accept(t, db, event, 1)
		receiver.Await(t, i+1, ready)
		if state := relay.State(t); len(state.Faults) > 0 {
			t.Errorf("with %q: %+v", group, state)
		}
		relay.Signal(t, syscall.SIGTERM)
		if status := relay.Exit(t, ready); status != statusDone {
			t.Errorf("with %q it ended with %d", group, status)
		}
		db.Exec(t, fmt.Sprintf("alter role %s in database %s reset all", pgtest.Role, db.Name()))
	}
}

// hostile are settings that a role or a database may have and that change what statements mean, or end them.
var hostile = []string{
	"default_transaction_isolation = 'serializable'", "default_transaction_read_only = on",
	"default_transaction_deferrable = on", "standard_conforming_strings = off", "datestyle = 'SQL, DMY'",
	"intervalstyle = 'iso_8601'", "timezone = 'Asia/Kathmandu'", "search_path = ''", "statement_timeout = '1ms'",
	"lock_timeout = '1ms'", "idle_in_transaction_session_timeout = '1ms'", "idle_session_timeout = '1ms'",
	"row_security = off", "bytea_output = 'escape'", "extra_float_digits = '-15'", "client_encoding = 'sql_ascii'",
	"xmloption = 'document'", "synchronous_commit = off", "default_table_access_method = 'heap'", "array_nulls = off",
	"transform_null_equals = on", "quote_all_identifiers = on", "work_mem = '64kB'", "application_name = 'x'",
}

// settingsToTry returns the settings to try one by one, as "name = value": every boolean inverted, every value of an
// enum, and numbers far from the default.
func settingsToTry(t *testing.T, db *pgtest.DB) []string {
	t.Helper()
	const listed = `select format('%I = %L', name, case setting when 'on' then 'off' else 'on' end)
		  from pg_settings
		 where context = 'user' and vartype = 'bool' and name not like 'debug_print%' and name not like 'log_%'
		 	and name not like 'trace_%' and name not like 'transaction_%'
		   and name not in ('is_superuser', 'in_hot_standby', 'zero_damaged_pages')
		 union all
		select format('%I = %L', name, value)
		  from pg_settings, unnest(enumvals) as value
		 where context = 'user' and vartype = 'enum' and value <> setting and name not like 'transaction_%'
		   and name not in ('client_min_messages', 'log_error_verbosity', 'backslash_quote')
		   and (name <> 'bytea_output' or value <> 'hex')
		 order by 1`
	tried := pgtest.Values[string](t, db, listed)
	tried = append(tried, "seq_page_cost = 0", "seq_page_cost = 1000000", "random_page_cost = 0",
		"random_page_cost = 1000000",
		"cpu_tuple_cost = 1000000", "cpu_index_tuple_cost = 1000000", "cpu_operator_cost = 1000000",
		"from_collapse_limit = 1", "join_collapse_limit = 1", "geqo_threshold = 2", "work_mem = '64kB'",
		"effective_cache_size = '8kB'", "parallel_setup_cost = 0", "min_parallel_table_scan_size = 0", "jit_above_cost = 0",
		"search_path = 'clutter, pg_temp'", "search_path = 'public, pg_catalog'", "max_parallel_workers_per_gather = 0",
		"temp_buffers = '800kB'", "client_encoding = 'latin1'")
	tried = append(tried, hostile...)
	slices.Sort(tried)
	if testing.Short() {
		tried = slices.DeleteFunc(tried, func(s string) bool {
			return !strings.HasPrefix(s, "enable_") && !slices.Contains(hostile, s)
		})
	}
	return slices.Compact(tried)
}

// exercised returns the statements that the program sent, with their parameters, and after them those of the embedded
// files that it had no reason to send, with NULL for every parameter.
func exercised(t *testing.T, db *pgtest.DB) []pgtap.Statement {
	t.Helper()
	tap := pgtap.New(t, serverAddress(t, db))
	exercise(t, db, "DATABASE_URL="+db.By(t, tap.Addr()).URL())
	return withUnsent(t, tap.Statements())
}

// exercise runs command after command with these settings, so that the program sends as many of its statements as
// possible.
func exercise(t *testing.T, db *pgtest.DB, settings ...string) {
	t.Helper()
	environ := append(relaytest.Environ(db)[1:], "DELIVERY_BREAKER_FAILURES=2", "DELIVERY_BREAKER_PROBE=1s",
		"DELIVERY_RETRY_SCHEDULE=1s,1s,1s,1s,1s,1s,1s")
	environ = append(environ, settings...)
	receiver := relaytest.NewReceiver(t, func(w relaytest.Webhook) int {
		if w.Path == "/down" {
			return 500
		}
		return 204
	})
	event, down := relaytest.AddEvent(t, db, receiver.URL+"/"), relaytest.AddEvent(t, db, receiver.URL+"/down")
	invoke(t, environ, "check")
	invoke(t, environ, "setup")
	relay := relaytest.RunWith(t, environ)
	relay.AwaitRole(t, ready, "leader")
	relaytest.Accept(t, db, event, 3)
	relaytest.Accept(t, db, down, 4)
	awaitState(t, db, "delivered", 3)
	db.Exec(t, "update attendees set email = 'x', updated_at = now()")
	db.Exec(t, "update attendees set id = id + 1000 where event_id = $1", event)
	db.Exec(t, `begin; create temp table kept as select * from attendees; truncate attendees cascade;
		insert into attendees select * from kept;
		insert into attendees (event_id, name, surname, status) select event_id, 'Grace', 'Hopper', 'Accepted'
			from attendees limit 2; commit`)
	invoke(t, environ, "status", "--json")
	invoke(t, environ, "endpoints", "list")
	invoke(t, environ, "endpoints", "enable", receiver.URL+"/down")
	invoke(t, environ, "check", "--json")
	pgtest.WaitUntil(t, time.Minute, "the endpoint that is down is paused", func() (bool, string) {
		states := pgtest.Values[string](t, db, "select state from attendee_relay.endpoint")
		return slices.Contains(states, "paused"), fmt.Sprint(states)
	})
	db.Exec(t, "update events set webhook_url = $1 where id = $2", receiver.URL+"/moved", down)
	awaitState(t, db, "delivered", 9)
	relay.Signal(t, syscall.SIGTERM)
	relay.Exit(t, ready)
	invoke(t, environ, "adopt", "--keep-pending", "--send-missing", "--where",
		"id IN (1, 2) OR surname LIKE 'H%' AND id BETWEEN 1 AND 9 AND name::text = ANY ('{Grace}')")
	invoke(t, environ, "adopt", "--discard-pending", "--yes")
	relay = relaytest.RunWith(t, environ)
	relay.AwaitRole(t, ready, "leader")
	relay.Signal(t, syscall.SIGTERM)
	relay.Exit(t, ready)
	invoke(t, environ, "teardown")
}
