package outbox

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pglogrepl"
)

var idEncoding = base32.HexEncoding.WithPadding(base32.NoPadding)

// idVersion goes into every hash, so that another recipe could never meet an id of this one.
const idVersion = "attendee-relay/1"

// everyID is the message id under SOURCE_REPEAT=every. It depends on the cluster and the commit, so that the same
// commit read again gives the same id even with the bookkeeping lost, and on the row, because all rows of one COPY
// share an LSN.
func everyID(systemID string, lsn pglogrepl.LSN, committed time.Time, identity, deliveryKey, url string) string {
	var numbers [16]byte
	binary.BigEndian.PutUint64(numbers[:8], uint64(lsn))
	if !committed.IsZero() {
		binary.BigEndian.PutUint64(numbers[8:], uint64(committed.UnixMicro()))
	}
	return "msg_" + strings.ToLower(idEncoding.EncodeToString(
		digest(idVersion, "every", systemID, string(numbers[:]), identity, deliveryKey, url)[:20]))
}

// endpointID names an exact URL without showing it.
func endpointID(url string) uuid.UUID {
	var id uuid.UUID
	copy(id[:], digest(idVersion, "endpoint", url))
	return id
}

// digest hashes parts so that no two lists of parts give the same input.
func digest(parts ...string) []byte {
	h := sha256.New()
	var length [8]byte
	for _, part := range parts {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write([]byte(part))
	}
	return h.Sum(nil)
}
