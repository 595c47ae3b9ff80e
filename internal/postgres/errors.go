package postgres

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// ErrSilent says that the connection stands, as far as we know, and the server does not answer on it.
var ErrSilent = errors.New("the server has been silent")

// Unreachable reports whether err means that the server cannot be talked to now (and may be later): the connection
// failed, was refused, broke or went silent, or the server is starting, stopping or out of connections.
func Unreachable(err error) bool {
	var connectErr *pgconn.ConnectError
	if errors.As(err, &connectErr) {
		return true
	}
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		switch pgErr.Code {
		case "57P01", "57P02", "57P03", "53300":
			return true
		}
		return len(pgErr.Code) == 5 && pgErr.Code[:2] == "08"
	}
	var netErr net.Error
	return errors.As(err, &netErr) || errors.Is(err, ErrSilent) || errors.Is(err, io.ErrUnexpectedEOF)
}

// Code returns the SQLSTATE of err, or "" when the server did not send one.
func Code(err error) string {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return pgErr.Code
	}
	return ""
}

// connectError is a failed connection in words that can be logged. It unwraps to the driver's error, whose text holds the
// connection's parameters.
type connectError struct{ cause error }

// Safe returns err, or for a failed connection an error whose text names no host, role or database: errors are logged, and
// a connection string is not.
func Safe(err error) error {
	var failed *pgconn.ConnectError
	if errors.As(err, &failed) {
		return connectError{err}
	}
	return err
}

// Unwrap gives errors.As the driver's error.
func (e connectError) Unwrap() error { return e.cause }

// Error implements error.
func (e connectError) Error() string {
	var refused *pgconn.PgError
	var lookup *net.DNSError
	var errno syscall.Errno
	switch {
	case errors.As(e.cause, &refused):
		return "the server refused the connection (" + reason(refused.Code) + ", SQLSTATE " + refused.Code + ")"
	case errors.As(e.cause, &lookup):
		return "the server's host name could not be looked up"
	case errors.Is(e.cause, os.ErrDeadlineExceeded), errors.Is(e.cause, context.DeadlineExceeded):
		return "the server did not answer within " + ConnectTimeout.String()
	case errors.As(e.cause, &errno):
		return "the server could not be connected to: " + errno.Error()
	default:
		return "the server could not be connected to (TLS, authentication or protocol failed)"
	}
}

// reason is what a SQLSTATE means for somebody who cannot connect; the server's own words name role and database.
func reason(code string) string {
	switch code {
	case "28P01":
		return "the password is wrong"
	case "28000":
		return "the role does not exist or pg_hba.conf does not let it in"
	case "3D000":
		return "the database does not exist"
	case "42501":
		return "the role lacks a right"
	case "53300":
		return "all connections are in use"
	case "57P03":
		return "it is starting or stopping"
	default:
		return "see the server's log"
	}
}
