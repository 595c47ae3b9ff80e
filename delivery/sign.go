package delivery

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"strings"
	"sync"

	"attendee-relay/internal/secret"
	"attendee-relay/outbox"
)

// secretPrefix marks a secret whose rest is base64, as Standard Webhooks writes them.
const secretPrefix = "whsec_"

// errSecret keeps the secret, and what is wrong at which place of it, to itself.
var errSecret = &Refusal{reason: "the signing secret is not whsec_ and base64"}

// errErased: a message whose body is gone must not be sent empty.
var errErased = &Refusal{reason: "the body was erased"}

// signingKey returns the bytes that a secret signs with.
func signingKey(s secret.String) ([]byte, error) {
	encoded, marked := strings.CutPrefix(s.Reveal(), secretPrefix)
	if !marked {
		return []byte(encoded), nil
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(key) == 0 {
		return nil, errSecret
	}
	return key, nil
}

// signer makes webhook-signature values. The relay's own keys are hashed once and their states kept; a message's own
// secret is not remembered.
type signer struct {
	shared []*sync.Pool
}

func newSigner(secrets []secret.String) (*signer, error) {
	s := &signer{}
	for _, text := range secrets {
		key, err := signingKey(text)
		if err != nil {
			return nil, err
		}
		s.shared = append(s.shared, &sync.Pool{New: func() any { return newMAC(key) }})
	}
	return s, nil
}

// signature returns the header's value: one signature for each secret, space-separated; empty when there is no secret.
// A message that has a secret is signed with it or not at all; one that had one before is never without a signature.
func (s *signer) signature(m *outbox.Message, timestamp string) (string, error) {
	own := m.Secret
	if own.IsZero() && len(s.shared) == 0 {
		own = m.FormerSecret
	}
	if !own.IsZero() {
		key, err := signingKey(own)
		if err != nil {
			return "", err
		}
		return string(newMAC(key).append(make([]byte, 0, signatureSize), m, timestamp)), nil
	}
	var value []byte
	for _, pool := range s.shared {
		if value == nil {
			value = make([]byte, 0, len(s.shared)*signatureSize)
		} else {
			value = append(value, ' ')
		}
		mac := pool.Get().(*mac)
		value = mac.append(value, m, timestamp)
		// After and not before: the first one keeps the key's state, for which a secret that signs once has no use.
		mac.hash.Reset()
		pool.Put(mac)
	}
	return string(value), nil
}

// signatureSize is "v1,", the base64 of a SHA-256, and the space before the next.
const signatureSize = 3 + 44 + 1

// headSize is room for "id.timestamp." with the ids that outbox makes; a longer one finds its own.
const headSize = 64

// mac is one keyed hash with the room it works in. It makes one signature; its hash is to be reset before the next. It is
// not safe for concurrent use.
type mac struct {
	hash hash.Hash
	head [headSize]byte
	sum  [sha256.Size]byte
}

func newMAC(key []byte) *mac { return &mac{hash: hmac.New(sha256.New, key)} }

// append adds the signature of "id.timestamp.payload" to value.
func (c *mac) append(value []byte, m *outbox.Message, timestamp string) []byte {
	head := append(append(append(append(c.head[:0], m.ID...), '.'), timestamp...), '.')
	c.hash.Write(head)
	c.hash.Write(m.Payload)
	return base64.StdEncoding.AppendEncode(append(value, "v1,"...), c.hash.Sum(c.sum[:0]))
}
