package replication

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// longest is how many bytes an identity has at most as it stands. The application's index holds what a btree's entry
// holds compressed, 2,704 bytes (PostgreSQL 14-18), and so does ours; but a value's text form may be twice as long.
const longest = 1000

// fixedMost is how many columns of fixed length (of which name is the longest, 64 bytes) stay within that for sure.
const fixedMost = 8

// hashed begins an identity that stands for a longer one.
const hashed = "sha256:"

// bounded is an identity that our indexes can hold: a long one is its hash.
func bounded(identity string) string {
	if len(identity) <= longest {
		return identity
	}
	sum := sha256.Sum256([]byte(identity))
	return hashed + hex.EncodeToString(sum[:])
}

// boundedSQL is bounded for an expression of type text. The hash is that of the bytes in the database's encoding, which
// the stream has as well.
func boundedSQL(text string) string {
	return fmt.Sprintf("CASE WHEN octet_length(%[1]s) <= %[2]d THEN %[1]s ELSE '%[3]s' || "+
		"encode(sha256(convert_to(%[1]s, getdatabaseencoding())), 'hex') END", text, longest, hashed)
}
