package postgres

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Advice about parameters that an application's framework reads from its connection string, and Postgres does not know.
const (
	poolSize   = "the pool's size is DATABASE_MAX_CONNS"
	noSuch     = "the relay needs nothing like it"
	timeouts   = "the relay has its own time-outs; connect_timeout is Postgres's"
	tableNames = "write the schema into SOURCE_TABLE and into the payload query"
	tlsModes   = "write sslmode=require or sslmode=verify-full, and sslrootcert for the authority's certificate"
	inTheURL   = "write postgres://user:password@host:5432/database" //nolint:gosec // an example
)

// framework is whose parameter it is, and what to do instead.
type framework struct{ name, advice string }

// frameworks are those parameters by their names in small letters.
var frameworks = named(
	framework{"Prisma", tableNames}, "schema",
	framework{"Prisma", poolSize}, "connection_limit",
	framework{"Prisma", timeouts}, "pool_timeout socket_timeout max_idle_connection_lifetime max_connection_lifetime",
	framework{"Prisma", "give the pooler's address as DATABASE_URL and the server's own as DATABASE_REPLICATION_URL"},
	"pgbouncer",
	framework{"Prisma", noSuch}, "statement_cache_size single_use_connections",
	framework{"Prisma", tlsModes}, "sslidentity sslaccept",
	framework{"Supabase", noSuch}, "supa workaround",
	framework{"Rails", poolSize}, "pool max_connections min_connections",
	framework{"Rails", timeouts}, "checkout_timeout idle_timeout reaping_frequency keepalive max_age",
	framework{"Rails", noSuch}, "adapter prepared_statements statement_limit encoding min_messages advisory_locks "+
		"insert_returning reconnect retry_deadline connection_retries database_tasks migrations_paths schema_dump "+
		"schema_cache_path replica seeds query_cache variables",
	framework{"Rails", tableNames}, "schema_search_path",
	framework{"Rails or JDBC", inTheURL}, "username url",
	framework{"SQLAlchemy", poolSize}, "pool_size max_overflow",
	framework{"SQLAlchemy", timeouts}, "pool_recycle pool_pre_ping command_timeout timeout",
	framework{"SQLAlchemy", noSuch}, "async_fallback prepared_statement_cache_size prepared_statement_name_func "+
		"server_settings executemany_mode use_native_hstore echo",
	framework{"Django", timeouts}, "conn_max_age conn_health_checks",
	framework{"Django", tlsModes}, "ssl_require",
	framework{"Django", noSuch}, "disable_server_side_cursors atomic_requests autocommit engine server_side_binding",
	framework{"JDBC", tableNames}, "currentschema",
	framework{"JDBC", poolSize}, "maximumpoolsize minimumidle maxpoolsize minpoolsize",
	framework{"JDBC", timeouts},
	"logintimeout sockettimeout connecttimeout canceltimeout cancelsignaltimeout tcpkeepalive",
	framework{"JDBC", "target_session_attrs is Postgres's"}, "targetservertype loadbalancehosts hostrecheckseconds",
	framework{"JDBC or node-postgres", tlsModes},
	"ssl sslfactory sslfactoryarg sslhostnameverifier sslpasswordcallback sslresponsetimeout uselibpqcompat",
	framework{"JDBC", noSuch}, "applicationname preparethreshold preparedstatementcachequeries "+
		"preparedstatementcachesizemib defaultrowfetchsize rewritebatchedinserts stringtype binarytransfer "+
		"binarytransferenable binarytransferdisable prefersimplequery preferquerymode readonly readonlymode autosave "+
		"loggerlevel loggerfile loglevel protocolversion assumeminserverversion disablecolumnsanitiser receivebuffersize "+
		"sendbuffersize maxresultbuffer adaptivefetch escapesyntaxcallmode hidescreen quotereturningidentifiers "+
		"allowencodingchanges logunclosedconnections databasemetadatacachefields databasemetadatacachefieldsmib "+
		"unknownlength jaaslogin jaasapplicationname kerberosservername usespnego sspiserviceclass groupstartupparameters",
	framework{"Doctrine", noSuch}, "serverversion charset driver driverclass defaultdbname persistent",
	framework{"node-postgres", poolSize}, "max min",
	framework{"node-postgres", timeouts}, "idletimeoutmillis connectiontimeoutmillis query_timeout",
	framework{"Ecto", noSuch}, "prepare queue_target queue_interval socket_options",
	framework{"pgx", poolSize}, "pool_max_conns pool_min_conns pool_min_idle_conns",
	framework{"pgx", timeouts}, "pool_max_conn_lifetime pool_max_conn_lifetime_jitter pool_max_conn_idle_time "+
		"pool_health_check_period pool_ping_timeout",
	framework{"Npgsql", inTheURL},
	"server userid user_id uid pwd data_source pooling maxautoprepare trustservercertificate includeerrordetail",
)

// named lays a list of a framework and its parameters, again and again, out as a map.
func named(list ...any) map[string]framework {
	all := map[string]framework{}
	for i := 0; i < len(list); i += 2 {
		for name := range strings.FieldsSeq(list[i+1].(string)) {
			all[name] = list[i].(framework)
		}
	}
	return all
}

// ofFrameworks names the parameters that belong to a framework, each with what to do.
func ofFrameworks(params map[string]string) (faults []string) {
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if f, known := frameworks[strings.ToLower(name)]; known {
			faults = append(faults, fmt.Sprintf("%s is a parameter of %s and not of Postgres; remove it (%s)", name, f.name,
				f.advice))
		}
	}
	return faults
}

var (
	schemePattern = regexp.MustCompile(`^\s*([A-Za-z][A-Za-z0-9+.:-]*)://`)
	// Npgsql separates its words with semicolons.
	npgsqlPattern = regexp.MustCompile(`(?i)^\s*(host|server|data source|database|username|user id)\s*=[^;']*;`)
)

// foreignForm explains a text that is another library's form of a connection string; "" if it is none. With another
// scheme and a "=" in it, it would pass as key=value words and lead to an unintended database.
func foreignForm(text string) string {
	if npgsqlPattern.MatchString(text) {
		return "it is in the form of Npgsql, with semicolons; " + inTheURL
	}
	found := schemePattern.FindStringSubmatch(text)
	if found == nil {
		return ""
	}
	scheme := strings.ToLower(found[1])
	driver, isDriver := strings.CutPrefix(scheme, "postgresql+")
	if !isDriver {
		driver, isDriver = strings.CutPrefix(scheme, "postgres+")
	}
	switch {
	case found[1] == "postgres", found[1] == "postgresql":
		return ""
	case scheme == "postgres", scheme == "postgresql":
		return "its scheme must be in small letters, postgres://"
	case isDriver && slices.Contains([]string{
		"psycopg", "psycopg2", "psycopg_async", "psycopg2cffi", "asyncpg", "pg8000", "pygresql"}, driver):
		return "it must begin with postgresql://, without +" + driver + " (a URL of SQLAlchemy's)"
	case slices.Contains([]string{"jdbc:postgresql", "r2dbc:postgresql", "jdbc:p6spy:postgresql"}, scheme):
		return "it must begin with postgresql://, without " + strings.TrimSuffix(scheme, "postgresql") +
			" (a URL of Java's), and hold user and password as in postgresql://user:password@host:5432/database"
	case slices.Contains([]string{"postgis", "pgsql", "psql", "ecto", "pdo-pgsql", "cockroachdb", "pg"}, scheme):
		return "it must begin with postgres:// or postgresql://, and not with " + scheme + "://"
	}
	return "it must begin with postgres:// or postgresql://"
}
