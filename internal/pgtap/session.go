package pgtap

import (
	"encoding/binary"
	"io"

	"github.com/jackc/pgx/v5/pgproto3"
)

// session knows what one client has prepared.
type session struct {
	started  bool
	prepared map[string]Statement
}

// read returns the client's next message whole. Until the session has started, messages have no type (PostgreSQL's
// protocol, "Message Formats": StartupMessage, SSLRequest, CancelRequest).
func read(from io.Reader, s *session) ([]byte, error) {
	head := make([]byte, 5)
	if !s.started {
		head = head[1:]
	}
	if _, err := io.ReadFull(from, head); err != nil {
		return nil, err
	}
	length := int(binary.BigEndian.Uint32(head[len(head)-4:]))
	if length < 4 || length > longest {
		return nil, errNoMessage
	}
	message := append(head, make([]byte, length-4)...)
	_, err := io.ReadFull(from, message[len(head):])
	if !s.started && length >= 8 {
		s.started = binary.BigEndian.Uint32(message[4:8]) == pgproto3.ProtocolVersionNumber
	}
	return message, err
}

// take learns from a message, and returns the statement that it executes.
func (s *session) take(message []byte) (statement Statement, executed bool) {
	if !s.started || len(message) < 5 {
		return Statement{}, false
	}
	body := message[5:]
	switch message[0] {
	case 'Q':
		var query pgproto3.Query
		if query.Decode(body) == nil {
			return Statement{SQL: query.String}, true
		}
	case 'P':
		var parse pgproto3.Parse
		if parse.Decode(body) == nil {
			s.prepared[parse.Name] = Statement{SQL: parse.Query, Types: append([]uint32(nil), parse.ParameterOIDs...)}
		}
	case 'B':
		var bind pgproto3.Bind
		if bind.Decode(body) == nil {
			statement = s.prepared[bind.PreparedStatement]
			statement.Formats = append([]int16(nil), bind.ParameterFormatCodes...)
			statement.Params = append([][]byte(nil), bind.Parameters...)
			return statement, statement.SQL != ""
		}
	}
	return Statement{}, false
}
