package postgres

import (
	"errors"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
)

// ErrSilent means that the connection is open, as far as we know, but the server does not answer on it.
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
	var unreadable unusable
	return errors.As(err, &netErr) || errors.As(err, &unreadable) || errors.Is(err, ErrSilent) ||
		errors.Is(err, io.ErrUnexpectedEOF)
}

// Code returns the SQLSTATE of err, or "" when the server did not send one.
func Code(err error) string {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return pgErr.Code
	}
	return ""
}
