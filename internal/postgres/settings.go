package postgres

import (
	"maps"
	"strings"
	"time"
)

// OwnPath is the search_path of our statements: nobody but a superuser can put a function or an operator into it.
const OwnPath = "pg_catalog, pg_temp"

// The limits of a session.
const (
	// idleInTransaction is how long a transaction of ours may be idle before the server ends it.
	idleInTransaction = 10 * time.Second
	// statementTimeout ends a statement of ours that nobody waits for any more.
	statementTimeout = time.Minute
	// lockTimeout is how long we wait for a lock, and so hold up those who queue behind us.
	lockTimeout = 2 * time.Second
)

// setting is a run-time parameter of Postgres with the value that our statements count on.
type setting struct{ name, value string }

// pinned are the settings of every session of ours that Postgres has had since 14. Each is one that a role or a
// database may set (ALTER ROLE, ALTER DATABASE; pg_settings.context is user), and that would change what a statement of
// ours means, how a value looks as text, which rows it sees, or whether it is run at all.
var pinned = []setting{
	{"search_path", OwnPath},

	// How statements are read.
	{"standard_conforming_strings", "on"},
	{"backslash_quote", "safe_encoding"},
	{"array_nulls", "on"},
	{"transform_null_equals", "off"},

	// How values are written.
	{"client_encoding", "UTF8"}, // the body is UTF-8, whatever the database is
	{"DateStyle", "ISO, MDY"},
	{"IntervalStyle", "postgres"},
	{"TimeZone", "UTC"},
	{"timezone_abbreviations", "Default"},
	{"extra_float_digits", "1"},
	{"bytea_output", "hex"},
	{"xmlbinary", "base64"},
	{"xmloption", "content"},
	{"lc_monetary", "C"},
	{"lc_numeric", "C"},
	{"lc_time", "C"},
	{"quote_all_identifiers", "off"},

	// Which rows are visible.
	{"row_security", "off"}, // a policy that would hide rows from us is an error, never a smaller answer
	{"gin_fuzzy_search_limit", "0"},

	// What a transaction is allowed to do.
	{"default_transaction_isolation", "read committed"},
	{"default_transaction_read_only", "off"},
	{"default_transaction_deferrable", "off"},
	{"exit_on_error", "off"},

	// Where our tables are made.
	{"default_tablespace", ""},
	{"temp_tablespaces", ""},
	{"default_table_access_method", "heap"},

	// How long anything may take. A role's own limits are meant for people.
	{"statement_timeout", milliseconds(statementTimeout)},
	{"lock_timeout", milliseconds(lockTimeout)},
	{"idle_in_transaction_session_timeout", milliseconds(idleInTransaction)},
	{"idle_session_timeout", "0"},

	// Messages to the client and to the server's log.
	{"client_min_messages", "warning"},
	{"log_parameter_max_length_on_error", "0"}, // parameters are people's data and do not belong in the server's log

	// The planner's choices: as Postgres is shipped. Our statements are short; compiling one takes longer than
	// running it.
	{"jit", "off"},
	{"plan_cache_mode", "auto"},
	{"constraint_exclusion", "partition"},
	{"cursor_tuple_fraction", "0.1"},
	{"from_collapse_limit", "8"},
	{"join_collapse_limit", "8"},
	{"geqo", "on"},
	{"geqo_threshold", "12"},
	{"geqo_effort", "5"},
	{"geqo_generations", "0"},
	{"geqo_pool_size", "0"},
	{"geqo_seed", "0"},
	{"geqo_selection_bias", "2"},
	{"seq_page_cost", "1"},
	{"random_page_cost", "4"},
	{"cpu_tuple_cost", "0.01"},
	{"cpu_index_tuple_cost", "0.005"},
	{"cpu_operator_cost", "0.0025"},
	{"parallel_setup_cost", "1000"},
	{"parallel_tuple_cost", "0.1"},
	{"min_parallel_table_scan_size", "8MB"},
	{"min_parallel_index_scan_size", "512kB"},
	{"parallel_leader_participation", "on"},
	{"enable_async_append", "on"},
	{"enable_bitmapscan", "on"},
	{"enable_gathermerge", "on"},
	{"enable_hashagg", "on"},
	{"enable_hashjoin", "on"},
	{"enable_incremental_sort", "on"},
	{"enable_indexonlyscan", "on"},
	{"enable_indexscan", "on"},
	{"enable_material", "on"},
	{"enable_memoize", "on"},
	{"enable_mergejoin", "on"},
	{"enable_nestloop", "on"},
	{"enable_parallel_append", "on"},
	{"enable_parallel_hash", "on"},
	{"enable_partition_pruning", "on"},
	{"enable_partitionwise_aggregate", "off"},
	{"enable_partitionwise_join", "off"},
	{"enable_seqscan", "on"},
	{"enable_sort", "on"},
	{"enable_tidscan", "on"},
}

// pinnedWhereKnown are those that some supported version, or minor release, does not have: it would refuse the
// connection.
var pinnedWhereKnown = []setting{
	{"transaction_timeout", "0"},             // 17
	{"restrict_nonsystem_relation_kind", ""}, // 14.13, 15.8, 16.4
	{"recursive_worktable_factor", "10"},     // 15
	{"stats_fetch_consistency", "cache"},     // 15
	{"force_parallel_mode", "off"},           // up to 15
	{"debug_parallel_query", "off"},          // 16
	{"enable_presorted_aggregate", "on"},     // 16
	{"enable_group_by_reordering", "on"},     // 17
	{"enable_distinct_reordering", "on"},     // 18
	{"enable_self_join_elimination", "on"},   // 18
}

// tracked are the start-up parameters that every pooler takes: PgBouncer follows these, and refuses others
// (IntervalStyle before 1.20).
var tracked = []string{"client_encoding", "DateStyle", "TimeZone", "standard_conforming_strings"}

// arrived is a start-up parameter that nobody else sets.
const arrived = "attendee_relay.session"

var (
	// pinTheRestSQL completes the settings that the start-up parameters of a direct session cannot set: those that not
	// every version has, and search_path where its start-up value is the DEFAULT for the operator's query. It changes
	// something, and returns a value, only where the start-up parameters have arrived: a pooler may drop them, and would
	// pass the settings made here on to its other clients.
	pinTheRestSQL = "SELECT " + callWhere(isKnown(arrived), pinned[0], "false") + ", " +
		callsWhereKnown(isKnown(arrived)+" AND ", "false")
	// beginSQL begins a transaction that is right whatever the session was left with by another client of a pooler.
	// Its own time-out comes first: each statement of the text runs under the one in force when it begins. The role is
	// that of the login, or the one that ALTER ROLE ... SET role gives it.
	beginSQL = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE NOT DEFERRABLE; SET LOCAL statement_timeout = " +
		milliseconds(statementTimeout) + "; SET LOCAL role TO DEFAULT; SELECT " + calls("true") + ", " +
		callsWhereKnown("", "true")
)

// pinAtStart puts the pinned settings into the start-up parameters of a direct session.
func pinAtStart(params map[string]string) {
	pinAtStartButPath(params)
	setParam(params, pinned[0].name, pinned[0].value)
}

// pinAtStartButPath leaves search_path to the connection string, the role or the database.
func pinAtStartButPath(params map[string]string) {
	for _, s := range pinned[1:] {
		setParam(params, s.name, s.value)
	}
	params[arrived] = "direct"
}

// pinTracked leaves of the start-up parameters only those that a pooler takes; the others are set by each transaction.
func pinTracked(params map[string]string) {
	for _, name := range Pinned() {
		dropParam(params, name)
	}
	if options := dropOptions(params["options"]); options != "" {
		params["options"] = options
	} else {
		delete(params, "options")
	}
	for _, s := range pinned {
		for _, name := range tracked {
			if s.name == name {
				params[name] = s.value
			}
		}
	}
}

// setParam sets a parameter in place of any of the same name: Postgres does not tell capital letters in it from small
// ones.
func setParam(params map[string]string, name, value string) {
	dropParam(params, name)
	params[name] = value
}

func dropParam(params map[string]string, name string) {
	maps.DeleteFunc(params, func(given, _ string) bool { return strings.EqualFold(given, name) })
}

// call writes a call of set_config. Names and values hold no quotation marks and no backslashes, so they read the same
// under any setting; nothing here is looked up by search_path.
func call(s setting, local string) string {
	return "pg_catalog.set_config('" + s.name + "', '" + s.value + "', " + local + ")"
}

func calls(local string) string {
	list := make([]string, len(pinned))
	for i, s := range pinned {
		list[i] = call(s, local)
	}
	return strings.Join(list, ", ")
}

// callsWhereKnown calls set_config for each of the settings that the server has, under a further condition.
func callsWhereKnown(condition, local string) string {
	list := make([]string, len(pinnedWhereKnown))
	for i, s := range pinnedWhereKnown {
		list[i] = callWhere(condition+isKnown(s.name), s, local)
	}
	return strings.Join(list, ", ")
}

func callWhere(condition string, s setting, local string) string {
	return "CASE WHEN " + condition + " THEN " + call(s, local) + " END"
}

func isKnown(name string) string {
	return "pg_catalog.current_setting('" + name + "', true) IS NOT NULL"
}

// Pinned returns the names of the pinned settings.
func Pinned() (names []string) {
	for _, s := range append(pinned[:len(pinned):len(pinned)], pinnedWhereKnown...) {
		names = append(names, s.name)
	}
	return names
}
