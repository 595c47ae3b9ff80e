package postgres_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/postgres"
	"attendee-relay/internal/secret"
)

// Every keyword of libpq, PQconndefaults of 14 to 18, with a value that an application may have set: the connection
// stands, or the keyword is refused by name before anything is sent.
func TestKeywordsOfLibpq(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	for keyword, want := range map[string]string{
		"application_name=app": "", "authtype=x": "", "channel_binding=prefer": "", "channel_binding=disable": "",
		"client_encoding=LATIN1": "", "client_encoding=auto": "", "connect_timeout=0": "", "connect_timeout=1": "",
		"connect_timeout=10": "", "fallback_application_name=app": "", "gssdelegation=1": "", "gssencmode=disable": "",
		"gssencmode=prefer": "", "gsslib=gssapi": "", "hostaddr=127.0.0.1": "", "keepalives=0": "", "keepalives_count=3": "",
		"keepalives_idle=30": "", "keepalives_interval=10": "", "krbsrvname=postgres": "", "load_balance_hosts=random": "",
		"load_balance_hosts=disable": "", "max_protocol_version=latest": "", "min_protocol_version=3.0": "",
		"options=-c statement_timeout=1": "", "options=-c search_path=public -c geqo=off": "", "passfile=/nowhere": "",
		"replication=database": "",
		"replication=true":     "", "require_auth=!password": "", "servicefile=/nowhere": "",
		"ssl_max_protocol_version=TLSv1.3": "", "ssl_min_protocol_version=TLSv1.2": "", "sslcertmode=allow": "",
		"sslcompression=0": "", "sslcompression=1": "", "sslcrl=": "", "sslkeylogfile=/nowhere": "",
		"sslnegotiation=postgres": "", "sslsni=0": "", "target_session_attrs=any": "", "tcp_user_timeout=10000": "",
		"tty=x": "", "requirepeer=": "", "oauth_scope=": "",

		"gssencmode=require": "gssencmode", "oauth_client_id=x": "oauth_client_id",
		"oauth_client_secret=x": "oauth_client_secret", "oauth_issuer=x": "oauth_issuer", "oauth_scope=x": "oauth_scope",
		"requirepeer=postgres": "requirepeer", "scram_client_key=x": "scram_client_key",
		"scram_server_key=x": "scram_server_key", "sslcrl=/nowhere": "sslcrl", "sslcrldir=/nowhere": "sslcrldir",
		"ssl_min_protocol_version=SSLv3": "ssl_min_protocol_version",
		"target_session_attrs=writable":  "target_session_attrs",
		"channel_binding=always":         "channel_binding", "require_auth=magic": "require_auth",
		"connect_timeout=soon": "connect_timeout",
	} {
		t.Run(keyword, func(t *testing.T) {
			t.Parallel()
			name, value, _ := strings.Cut(keyword, "=")
			words := db.Words(t) + " " + name + "='" + value + "'"
			faults := strings.Join(postgres.Check(words), "; ")
			if want != "" {
				if !strings.Contains(faults, want) {
					t.Errorf("%q does not name %s", faults, want)
				}
				return
			}
			if faults != "" {
				t.Fatal(faults)
			}
			for way, connect := range map[string]func() (*pgx.Conn, error){
				"direct": func() (*pgx.Conn, error) { return postgres.Direct(t.Context(), secret.New(words), "test") },
				"pooled": func() (*pgx.Conn, error) {
					pool, err := postgres.Pool(secret.New(words), "test", 1, true, nil)
					if err != nil {
						return nil, err
					}
					t.Cleanup(pool.Close)
					conn, err := pool.Acquire(t.Context())
					if err != nil {
						return nil, err
					}
					return conn.Hijack(), nil
				},
			} {
				conn, err := connect()
				if err != nil {
					t.Errorf("%s: %v", way, err)
					continue
				}
				_ = conn.Close(context.Background())
			}
		})
	}
}

// These protect the connection: what they ask for is done, or nothing is.
func TestKeywordsThatProtectAreNotIgnored(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	for _, keyword := range []string{"channel_binding=require", "require_auth=scram-sha-256", "require_auth=gss,none",
		"sslmode=require", "sslmode=verify-full",
		"sslcertmode=require", "sslmode=require sslnegotiation=direct", "sslrootcert=system"} {
		conn, err := postgres.Direct(t.Context(), secret.New(db.Words(t)+" "+keyword), "test")
		if err == nil {
			t.Errorf("%s: connected to a server without TLS that asks for an MD5 hash", keyword)
		}
		if conn != nil {
			_ = conn.Close(context.Background())
		}
	}
}

func TestFormsAndParametersOfFrameworks(t *testing.T) {
	t.Parallel()
	const url = "postgres://app:hunter2@db.internal/registration"
	for text, want := range map[string][]string{
		url + "?schema=public&connection_limit=5&pool_timeout=10": {"schema", "connection_limit", "pool_timeout",
			"Prisma", "DATABASE_MAX_CONNS", "SOURCE_TABLE"},
		url + "?pgbouncer=true&socket_timeout=3&statement_cache_size=0": {"pgbouncer", "socket_timeout",
			"statement_cache_size", "DATABASE_REPLICATION_URL"},
		url + "?sslidentity=x.p12&sslaccept=strict": {"sslidentity", "sslaccept", "sslmode"},
		url + "?pool=5&prepared_statements=false&encoding=unicode&adapter=pg": {"pool", "prepared_statements", "encoding",
			"adapter", "Rails"},
		url + "?reaping_frequency=10&checkout_timeout=5": {"reaping_frequency", "checkout_timeout"},
		url + "?serverVersion=15&charset=utf8":           {"serverVersion", "charset", "Doctrine"},
		url + "?currentSchema=app&ApplicationName=x&ssl=1": {"currentSchema", "ApplicationName", "ssl",
			"JDBC", "sslmode"},
		url + "?pool_max_conns=4&pool_max_conn_lifetime=1h":                    {"pool_max_conns", "DATABASE_MAX_CONNS"},
		url + "?conn_max_age=60":                                               {"conn_max_age", "Django"},
		"postgresql+psycopg://app:hunter2@db.internal/registration":            {"SQLAlchemy", "+psycopg", "postgresql://"},
		"postgresql+asyncpg://app:hunter2@db.internal/registration":            {"SQLAlchemy", "+asyncpg"},
		"jdbc:postgresql://db.internal/registration?user=app&password=hunter2": {"jdbc:", "Java", "postgresql://"},
		"postgis://app:hunter2@db.internal/registration":                       {"postgis://", "postgres://"},
		"psql://app:hunter2@db.internal/registration":                          {"psql://", "postgres://"},
		"ecto://app:hunter2@db.internal/registration":                          {"ecto://"},
		"mysql://app:hunter2@db.internal/registration":                         {"postgres://"},
		"Host=db.internal;Username=app;Password=hunter2;Database=registration": {"Npgsql", "postgres://"},
		"POSTGRES://app:hunter2@db.internal/registration":                      {"small letters"},
		"postgres://app:hunter2@db.internal:port/registration":                 {"not understood"},
	} {
		got := strings.Join(postgres.Check(text), "; ")
		for _, word := range want {
			if !strings.Contains(got, word) {
				t.Errorf("%q does not say %q", got, word)
			}
		}
		for _, word := range []string{"hunter2", "db.internal", "app:", "registration"} {
			if strings.Contains(got, word) {
				t.Errorf("%q repeats %q", got, word)
			}
		}
	}
	for _, text := range []string{url, url + "?ssl=true", url + "?sslmode=disable",
		"host=db.internal user=app dbname=registration"} {
		if faults := postgres.Check(text); len(faults) > 0 {
			t.Errorf("refused: %q", faults)
		}
	}
}

// A parameter that nobody told us of reaches the server, and is named only where it cannot be a part of a password.
func TestUnknownParameters(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	for word, want := range map[string]string{"nonsense=1": "a parameter", "wal_sender_timeout=many": "22023",
		"role=nobody_there": "22023"} {
		_, err := postgres.Direct(t.Context(), secret.New(db.Words(t)+" "+word).From("DATABASE_URL", nil), "test")
		if err == nil || !strings.Contains(err.Error(), "DATABASE_URL") || !strings.Contains(err.Error(), want) ||
			strings.Contains(err.Error(), "nobody_there") {
			t.Errorf("%s: %v", word, err)
		}
	}
}
