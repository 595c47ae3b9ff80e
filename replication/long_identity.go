package replication

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// longest is the largest number of bytes of an identity that is kept unchanged. An entry of the application's index
// holds at most 2,704 bytes, compressed (btree, PostgreSQL 14-18), and so does ours; but a value's text form may be
// twice as long.
const longest = 1000

// fixedMost is how many columns of fixed length always stay within that (name is the longest type, 64 bytes).
const fixedMost = 8

// hashed is the prefix of an identity that stands for a longer one.
const hashed = "sha256:"

// bounded returns an identity that our indexes can hold: for a long one, its hash.
func bounded(identity string) string {
	if len(identity) <= longest {
		return identity
	}
	sum := sha256.Sum256([]byte(identity))
	return hashed + hex.EncodeToString(sum[:])
}

// boundedSQL is bounded for an expression of type text. The hash is of the bytes in the database's encoding, which are
// those of the stream.
func boundedSQL(text string) string {
	return fmt.Sprintf("CASE WHEN octet_length(%[1]s) <= %[2]d THEN %[1]s ELSE '%[3]s' || "+
		"encode(sha256(convert_to(%[1]s, getdatabaseencoding())), 'hex') END", text, longest, hashed)
}
