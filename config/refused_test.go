package config_test

import (
	"strings"
	"testing"
)

// refusedURL is the start of the error for a default URL that no message could be sent to.
const refusedURL = "DELIVERY_DEFAULT_URL: every message to it would be refused: "

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		set  string
		want string
	}{
		"blank where required": {"DATABASE_URL= ", "DATABASE_URL: it is required"},
		"not a connection string": {"DATABASE_URL=postgres://relay:hunter2@db:port/x",
			"DATABASE_URL: it is not understood"},
		"another database's URL": {"DATABASE_URL=mysql://relay:hunter2@db/x?a=b",
			"DATABASE_URL: it must begin with postgres://"},
		"a JDBC URL": {"DATABASE_REPLICATION_URL=jdbc:postgresql://db/x?user=relay",
			"DATABASE_REPLICATION_URL: it must begin with postgresql://, without jdbc:"},
		"a bad second URL": {"DATABASE_REPLICATION_URL=postgres://h:x/y",
			"DATABASE_REPLICATION_URL: it is not understood"},
		"too few connections":       {"DATABASE_MAX_CONNS=5", "DATABASE_MAX_CONNS: it must be at least 6"},
		"a number in octal":         {"DATABASE_MAX_CONNS=010", "DATABASE_MAX_CONNS: it must be a whole number"},
		"a number with a unit":      {"DELIVERY_CONCURRENCY=8x", "DELIVERY_CONCURRENCY: it must be a whole number"},
		"not a number":              {"DELIVERY_ENDPOINT_RATE=NaN", "DELIVERY_ENDPOINT_RATE: it must be a number"},
		"a duration without unit":   {"DELIVERY_TIMEOUT=15", "DELIVERY_TIMEOUT: it must be a duration with its unit"},
		"a boolean in another word": {"DELIVERY_ENABLED=yes", "DELIVERY_ENABLED: it must be true or false"},
		"an empty step": {"DELIVERY_RETRY_SCHEDULE=5s,,5m",
			"DELIVERY_RETRY_SCHEDULE: element 2 of the list is empty"},
		"a step that is none": {"DELIVERY_RETRY_SCHEDULE=5s,soon",
			"DELIVERY_RETRY_SCHEDULE: element 2 of the list is not a duration"},
		"an address for a network": {"DELIVERY_ALLOW_NETWORKS=10.0.0.1",
			"DELIVERY_ALLOW_NETWORKS: element 1 of the list is not a network"},
		"17 bytes that are no network": {"DELIVERY_ALLOW_NETWORKS=10.0.0.0-10.0.0.9",
			"DELIVERY_ALLOW_NETWORKS: element 1 of the list is not a network"},
		"a deployment with a blank": {"DEPLOYMENT=our staging", "DEPLOYMENT: it must be a name"},
		"a deployment too long":     {"DEPLOYMENT=" + strings.Repeat("a", 64), "DEPLOYMENT: it must be a name"},
		"a table without schema":    {"SOURCE_TABLE=attendees", "SOURCE_TABLE: it must be schema.table"},
		"a table with two dots":     {"SOURCE_TABLE=db.public.attendees", "SOURCE_TABLE: it must be schema.table"},
		"a quoted table":            {`SOURCE_TABLE=public."Attendees"`, "SOURCE_TABLE: it must be schema.table"},
		"a name Postgres would cut": {"SOURCE_TABLE=public." + strings.Repeat("ä", 32),
			"SOURCE_TABLE: it must be schema.table"},
		"a quoted column": {`SOURCE_KEY="id"`, "SOURCE_KEY: it must be a column's name"},
		"a value twice": {"SOURCE_ACCEPTED=a,b, a",
			"SOURCE_ACCEPTED: elements 1 and 3 of the list are the same"},
		"a trailing comma":           {"SOURCE_ACCEPTED=a,", "SOURCE_ACCEPTED: element 2 of the list is empty"},
		"once":                       {"SOURCE_REPEAT=once", "SOURCE_REPEAT: once is not available yet"},
		"another repeat":             {"SOURCE_REPEAT=twice", "SOURCE_REPEAT: it must be every"},
		"another baseline":           {"SOURCE_BASELINE=skip", "SOURCE_BASELINE: it must be mark or send"},
		"a slot with a capital":      {"REPLICATION_SLOT=Relay", "REPLICATION_SLOT: it must have"},
		"a slot with a quote":        {`REPLICATION_SLOT=relay" DROP`, "REPLICATION_SLOT: it must have"},
		"a publication with a dash":  {"REPLICATION_PUBLICATION=attendee-relay", "REPLICATION_PUBLICATION: it must have"},
		"a publication with a digit": {"REPLICATION_PUBLICATION=1relay", "REPLICATION_PUBLICATION: it must have"},
		"another setup":              {"REPLICATION_SETUP=yes", "REPLICATION_SETUP: it must be auto or manual"},
		"another on-loss":            {"REPLICATION_ON_LOSS=ignore", "REPLICATION_ON_LOSS: it must be resync or stop"},
		"a takeover too short":       {"REPLICATION_TAKEOVER=999ms", "REPLICATION_TAKEOVER: it must be 1s to 1h"},
		"no query timeout":           {"SOURCE_QUERY_TIMEOUT=0s", "SOURCE_QUERY_TIMEOUT: it must be 1ms to 1h"},
		"negative settling":          {"OUTBOX_SETTLE=-1s", "OUTBOX_SETTLE: it must not be negative"},
		"no patience":                {"OUTBOX_PATIENCE=0s", "OUTBOX_PATIENCE: it must be more than 0s"},
		"bodies of nothing":          {"OUTBOX_MAX_BODY=0", "OUTBOX_MAX_BODY: it must be 256 bytes to 32MiB"},
		"bodies larger than a read":  {"OUTBOX_MAX_BODY=33MiB", "OUTBOX_MAX_BODY: it must be 256 bytes to 32MiB"},
		"a size in decimal units": {"OUTBOX_MAX_BODY=4MB",
			"OUTBOX_MAX_BODY: it must be a size such as 4MiB, 512KiB or a number"},
		"a size below nothing":    {"OUTBOX_MAX_BODY=-1", "OUTBOX_MAX_BODY: it must be a size"},
		"rows gone before bodies": {"OUTBOX_RETENTION=24h", "OUTBOX_RETENTION: it must be more than 0s and not less"},
		"bodies never kept":       {"OUTBOX_PAYLOAD_RETENTION=-1h", "OUTBOX_PAYLOAD_RETENTION: it must be more than 0s"},
		"a URL without scheme": {"DELIVERY_DEFAULT_URL=example.com/hunter2", refusedURL +
			"the URL must begin with https://"},
		"a URL of another scheme": {"DELIVERY_DEFAULT_URL=ftp://x.example/hunter2",
			refusedURL + "the URL must begin with https://"},
		"a plain http URL": {"DELIVERY_DEFAULT_URL=http://x.example/hunter2", refusedURL +
			"the URL begins with http://, which only DELIVERY_ALLOW_HTTP"},
		"a URL without host": {"DELIVERY_DEFAULT_URL=https://?hunter2", refusedURL + "the URL has no valid host"},
		"a URL with a bad host": {"DELIVERY_DEFAULT_URL=https://hunter2 example/", refusedURL +
			"the URL has no valid host"},
		"a URL with a bad port": {"DELIVERY_DEFAULT_URL=https://x.example:99999/hunter2",
			refusedURL + "the URL has no valid port"},
		"a URL with port 0": {"DELIVERY_DEFAULT_URL=https://x.example:0/hunter2", refusedURL +
			"the URL has no valid port"},
		"a URL with a user": {"DELIVERY_DEFAULT_URL=https://hunter2@x.example/", refusedURL +
			"the URL holds a user name"},
		"a URL with a password": {"DELIVERY_DEFAULT_URL=https://user:hunter2@x.example/",
			refusedURL + "the URL holds a user name"},
		"a URL too long": {"DELIVERY_DEFAULT_URL=https://x.example/" + strings.Repeat("x", 4096), refusedURL +
			"the URL is too long"},
		"a private address": {"DELIVERY_DEFAULT_URL=https://10.1.2.3/hunter2", refusedURL +
			"its address is not public and not in DELIVERY_ALLOW_NETWORKS"},
		"a private address as number": {"DELIVERY_DEFAULT_URL=https://0x7f.1/hunter2", refusedURL +
			"its address is not public"},
		"a private address, embedded": {"DELIVERY_DEFAULT_URL=https://[64:ff9b::7f00:1]/hunter2", refusedURL +
			"its address is not public"},
		"this machine by name": {"DELIVERY_DEFAULT_URL=https://LocalHost.:8443/hunter2",
			refusedURL + "its address is not public"},
		"a range with host bits": {"DELIVERY_DENY_NETWORKS=10.1.2.3/8",
			"DELIVERY_DENY_NETWORKS: 10.1.2.3/8 is not the start"},
		"a denied network that is one": {"DELIVERY_DENY_NETWORKS=10.0.0.1",
			"DELIVERY_DENY_NETWORKS: element 1 of the list is not a network"},
		"authorities that are missing": {"DELIVERY_CA_FILE=/nowhere/hunter2",
			"DELIVERY_CA_FILE names a file that cannot be used: no such file"},
		"authorities in a directory": {"DELIVERY_CA_FILE=/",
			"DELIVERY_CA_FILE names a file that cannot be used: is a directory"},
		"an empty file of authorities": {"DELIVERY_CA_FILE=/dev/null",
			"DELIVERY_CA_FILE names a file that cannot be used: it is empty"},
		"endless authorities": {"DELIVERY_CA_FILE=/dev/zero",
			"DELIVERY_CA_FILE names a file that cannot be used: it is larger"},
		"a file without authorities": {"DELIVERY_CA_FILE=config_test.go",
			"DELIVERY_CA_FILE names a file that cannot be used: there is no certificate"},
		"the file form of its file": {"DELIVERY_CA_FILE_FILE=/dev/null",
			"DELIVERY_CA_FILE_FILE: there is no such variable; the nearest name is DELIVERY_CA_FILE"},
		"an address without port": {"ADMIN_ADDR=127.0.0.1", "ADMIN_ADDR: it must be host:port"},
		"a port out of range":     {"ADMIN_ADDR=:70000", "ADMIN_ADDR: it must be host:port"},
		"no shutdown":             {"SHUTDOWN_TIMEOUT=0s", "SHUTDOWN_TIMEOUT: it must be more than 0s"},
		"another level":           {"LOG_LEVEL=verbose", "LOG_LEVEL: it must be debug, info, warn or error"},
		"another format":          {"LOG_FORMAT=text", "LOG_FORMAT: it must be json or console"},
		"a file that is not there": {"ADMIN_TOKEN_FILE=/nowhere/hunter2",
			"ADMIN_TOKEN_FILE names a file that cannot be used: no such file"},
		"a query that is not there": {"SOURCE_QUERY_FILE=/nowhere/query.sql",
			"SOURCE_QUERY_FILE names a file that cannot be used: no such file"},
		"an empty file": {"ADMIN_TOKEN_FILE=/dev/null", "ADMIN_TOKEN_FILE names a file that cannot be used: it is empty"},
		"an endless file": {"ADMIN_TOKEN_FILE=/dev/zero",
			"ADMIN_TOKEN_FILE names a file that cannot be used: it is larger"},
		"a misspelt name": {"DATABASE_MAX_CONN=8",
			"DATABASE_MAX_CONN: there is no such variable; the nearest name is DATABASE_MAX_CONNS"},
		"a misspelt deployment": {"DEPLOYMENT_NAME=x",
			"DEPLOYMENT_NAME: there is no such variable; the nearest name is DEPLOYMENT"},
		"a misspelt file": {"ADMIN_TOKENS_FILE=x",
			"ADMIN_TOKENS_FILE: there is no such variable; the nearest name is ADMIN_TOKEN_FILE"},
		"an unknown name set to blank": {"LOG_LEVELS=",
			"LOG_LEVELS: there is no such variable; the nearest name is LOG_LEVEL"},
		"the file form of a file form": {"SOURCE_QUERY_FILE_FILE=/dev/null",
			"SOURCE_QUERY_FILE_FILE: there is no such variable; the nearest name is SOURCE_QUERY_FILE"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			environ := []string{test.set}
			if !strings.HasPrefix(test.set, "DATABASE_URL=") {
				environ = append(environ, "DATABASE_URL="+conninfo)
			}
			faults := loadFaults(t, environ)
			if len(faults) != 1 || !strings.HasPrefix(faults[0], test.want) {
				t.Errorf("faults %q, want one that begins %q", faults, test.want)
			}
			if strings.Contains(strings.Join(faults, "\n"), "hunter2") {
				t.Errorf("a value shows in %q", faults)
			}
		})
	}
}
