package postgres

import (
	"context"
	"errors"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"attendee-relay/internal/secret"
)

// connectError is a failed connection in words that can be logged. It unwraps to the driver's error, whose text holds
// the connection's parameters.
type connectError struct {
	cause error
	// variable says where the connection was to lead; "": not known.
	variable string
	// direct: it must not lead through a pooler.
	direct bool
}

// errDropped says that the server has not got our start-up parameters.
var errDropped = errors.New("something on the way drops start-up parameters")

// errUnpinnable: the role may not call the functions that set a session up.
var errUnpinnable = errors.New("the role may not set its session up")

// PinGrant returns the statement that lets the role set its sessions up if err says that it may not, else "". No
// session that is not set up is asked anything, so this has to be known without asking.
func PinGrant(err error) string {
	var failed *pgconn.ConnectError
	if !errors.Is(err, errUnpinnable) || !errors.As(err, &failed) {
		return ""
	}
	return "GRANT EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean), " +
		"pg_catalog.current_setting(text, boolean) TO " + pgx.Identifier{failed.Config.User}.Sanitize()
}

// Safe returns err, or for a failed connection an error whose text names no host, role or database: errors are logged,
// and a connection string is not.
func Safe(err error) error { return describe(err, secret.String{}, false) }

// describe is Safe for a connection by this connection string.
func describe(err error, conninfo secret.String, direct bool) error {
	var described connectError
	if errors.As(err, &described) && described.variable != "" {
		return err
	}
	var failed *pgconn.ConnectError
	if errors.As(err, &failed) || errors.As(err, &described) {
		return connectError{err, conninfo.Variable(), direct}
	}
	return err
}

// Reason says why there was no connection, in words that can be logged; "": err is about something else.
func Reason(err error) string {
	var described connectError
	var unreadable unusable
	switch {
	case errors.As(err, &described):
		return described.Error()
	case errors.As(err, &unreadable):
		return unreadable.Error()
	}
	var failed *pgconn.ConnectError
	if errors.As(err, &failed) {
		return connectError{cause: failed}.Error()
	}
	return ""
}

// Unwrap gives errors.As the driver's error.
func (e connectError) Unwrap() error { return e.cause }

// Error implements error.
func (e connectError) Error() string {
	if e.variable == "" {
		return e.reason()
	}
	return e.variable + ": " + e.reason()
}

func (e connectError) reason() string {
	var refused *pgconn.PgError
	var lookup *net.DNSError
	var errno syscall.Errno
	switch {
	case errors.As(e.cause, &refused):
		return e.refusal(refused)
	case errors.Is(e.cause, errDropped):
		return "it leads through a pooler, which drops start-up parameters; set DATABASE_REPLICATION_URL to the server's " +
			"own address"
	case errors.Is(e.cause, errUnpinnable):
		return "the role may not set its session up (set_config and current_setting in pg_catalog); attendee-relay check " +
			"prints the grant"
	case errors.Is(e.cause, pgconn.ErrReadOnlyConnection), errors.Is(e.cause, pgconn.ErrReadWriteConnection),
		errors.Is(e.cause, pgconn.ErrPrimaryConnection), errors.Is(e.cause, pgconn.ErrStandbyConnection):
		return "no server that answered is what target_session_attrs asks for"
	case errors.As(e.cause, &lookup):
		return "the server's host name could not be looked up"
	case errors.Is(e.cause, os.ErrDeadlineExceeded), errors.Is(e.cause, context.DeadlineExceeded):
		return "the server did not answer in time (" + ConnectTimeout.String() + ", or connect_timeout where that is shorter)"
	case errors.As(e.cause, &errno):
		return "the server could not be connected to: " + errno.Error()
	default:
		return "the server could not be connected to (TLS, authentication or protocol failed)"
	}
}

// parameterPattern finds the start-up parameter that a pooler does not take (PgBouncer 1.18 to 1.24, client.c).
var parameterPattern = regexp.MustCompile(`^unsupported startup parameter(?: in options)?:? ?"?([A-Za-z_.]*)`)

// refusal explains the answer of a server or a pooler to somebody who cannot connect; their own words name role and
// database.
func (e connectError) refusal(refused *pgconn.PgError) string {
	said := " (SQLSTATE " + refused.Code + ")"
	if found := parameterPattern.FindStringSubmatch(refused.Message); found != nil {
		parameter := "a start-up parameter"
		if known(found[1]) {
			parameter = "the start-up parameter " + found[1]
		}
		if e.direct {
			return "it leads through a pooler, which does not take " + parameter + said +
				"; set DATABASE_REPLICATION_URL to the server's own address"
		}
		return "the pooler that it leads through does not take " + parameter + said +
			"; leave it out of the connection string, or add it to ignore_startup_parameters"
	}
	if meaning := meanings[refused.Code]; meaning != "" {
		return "the server refused the connection (" + meaning + ", SQLSTATE " + refused.Code + ")"
	}
	var failed *pgconn.ConnectError
	if refused.Code == "42704" && errors.As(e.cause, &failed) {
		for name := range failed.Config.RuntimeParams {
			if known(name) && strings.Contains(refused.Message, `"`+name+`"`) {
				return "the server does not know the parameter " + name + said + "; leave it out of the connection string"
			}
		}
		return "the server does not know a parameter of the connection string" + said +
			"; those of libpq and of the server are understood"
	}
	return "the server refused the connection (see the server's log, SQLSTATE " + refused.Code + ")"
}

// known reports whether a name may be shown: a text that was cut in the wrong place could be part of a password.
func known(name string) bool {
	return isPinned(name) || frameworks[strings.ToLower(name)].name != "" || slices.Contains(ignored, name) ||
		unsupported[name] != "" || slices.Contains([]string{
		"options", "application_name", "wal_sender_timeout", "role", "session_authorization"}, name)
}

// meanings are those of the SQLSTATEs of a refused connection.
var meanings = map[string]string{
	"28P01": "the password is wrong, or the role does not exist",
	"28000": "the role does not exist or may not log in, or pg_hba.conf does not let it in",
	"3D000": "the database does not exist",
	"42501": "the role lacks a right, such as CONNECT on the database",
	"53300": "too many connections: max_connections, or the CONNECTION LIMIT of the role or the database",
	"57P03": "it is starting or stopping",
	"57014": "a time-out of the role or the database ended it",
	"22023": "a parameter of the connection string has a value that it does not take",
}
