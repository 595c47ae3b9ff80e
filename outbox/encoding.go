package outbox

import (
	"context"
	_ "embed"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/postgres"
)

// Identities and keys come from the stream in the database's own encoding, and are stored in it: a database may hold
// text that is not UTF-8 (SQL_ASCII, an unassigned byte of WIN1252), and the books must match the stream byte for byte.
// Everything else is UTF-8, which every session uses unless a transaction says otherwise. Where the database's encoding
// is UTF-8 the two are the same, and none of these settings is sent.
var (
	//go:embed sql/own_encoding.sql
	ownEncodingSQL string
	//go:embed sql/utf8.sql
	utf8SQL string
	//go:embed sql/keys_utf8.sql
	keysUTF8SQL string
)

// encodingOf is the database's encoding, by Postgres's name for it.
func encodingOf(conn *pgx.Conn) string { return conn.PgConn().ParameterStatus("server_encoding") }

// converts reports whether the database's encoding is another than UTF-8.
func converts(conn *pgx.Conn) bool { return encodingOf(conn) != "UTF8" }

var errKeyNotUTF8 = errors.New(
	"the row's key has characters that are others in Unicode: it cannot be asked for in UTF-8")

// utf8Keys returns the keys by what they are in UTF-8, and those that would not be found by it. A key that has no
// UTF-8 is an error of Postgres's (22021, 22P05).
func utf8Keys(ctx context.Context, conn *pgx.Conn, keys []string) (byUTF8 map[string]string, lost []string, err error) {
	byUTF8 = make(map[string]string, len(keys))
	var asked []string
	for _, key := range keys {
		if isASCII(key) {
			byUTF8[key] = key
		} else {
			asked = append(asked, key)
		}
	}
	if len(asked) == 0 {
		return byUTF8, nil, nil
	}
	rows, err := conn.Query(ctx, keysUTF8SQL, rawBytes(asked))
	if err != nil {
		return nil, nil, fmt.Errorf("writing keys as UTF-8: %w", err)
	}
	var written []byte
	var same bool
	next := 0
	_, err = pgx.ForEachRow(rows, []any{&written, &same}, func() error {
		if same {
			byUTF8[string(written)] = asked[next]
		} else {
			lost = append(lost, asked[next])
		}
		next++
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("writing keys as UTF-8: %w", err)
	}
	return byUTF8, lost, nil
}

// legible returns keys, which are in the database's encoding, as they can be shown: in UTF-8, or with \x81 for bytes
// that have no UTF-8.
func legible(ctx context.Context, conn *pgx.Conn, keys []string) error {
	for i, key := range keys {
		if isASCII(key) || !converts(conn) {
			continue
		}
		var written []byte
		err := conn.QueryRow(ctx, keysUTF8SQL, rawBytes([]string{key})).Scan(&written, nil)
		switch {
		case err == nil:
			keys[i] = string(written)
		case postgres.Unconvertible(err):
			keys[i] = postgres.Legible(key)
		default:
			return fmt.Errorf("writing keys as UTF-8: %w", err)
		}
	}
	return nil
}

// rawBytes are texts as a bytea parameter, which no encoding changes.
func rawBytes(texts []string) [][]byte {
	list := make([][]byte, len(texts))
	for i, text := range texts {
		list[i] = []byte(text)
	}
	return list
}

// rawText is a text that came as bytea; nil: NULL.
func rawText(bytes []byte) *string {
	if bytes == nil {
		return nil
	}
	text := string(bytes)
	return &text
}
