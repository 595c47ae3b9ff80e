package fault

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Sentence is an error in words that name no value and no connection parameter, for a fault's message.
func Sentence(err error) string {
	text := err.Error()
	if failed, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		// Its text holds host, role and database.
		text = strings.Replace(text, failed.Error(), "the server could not be connected to", 1)
	}
	if said, ok := errors.AsType[*pgconn.PgError](err); ok {
		text = strings.Replace(text, said.Error(), serverSaid(said), 1)
	}
	return strings.ReplaceAll(text, "error preprocessing batch (prepare): ", "") // pgx's step, of use to nobody
}

// serverSaid returns the message of Postgres if it cannot hold data: messages of the classes 22 and 23 quote the value,
// and functions and extensions may raise any text (PostgreSQL 14-18, appendix A of its documentation).
func serverSaid(e *pgconn.PgError) string {
	message := e.Message
	switch e.Code[:min(2, len(e.Code))] {
	case "22", "23":
		if at := strings.IndexAny(message, "\"'`«»„“”‘’‹›"); at >= 0 {
			message = strings.TrimRight(message[:at], " :") + " (value not shown)"
		}
	case "08", "0A", "25", "26", "28", "2B", "2D", "2F", "3D", "3F", "40", "42", "53", "54", "55", "57", "58", "F0", "XX":
	default:
		message = "it raised an error (message not shown)"
	}
	return message + " (SQLSTATE " + e.Code + ")"
}
