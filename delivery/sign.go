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

// minKeyBytes is the shortest key that anything is signed with, decoded.
const minKeyBytes = 8

// The refusals of a secret keep it, and what is wrong at which place of it, to themselves.
var (
	errSecret      = &Refusal{reason: "the signing secret is not whsec_ and base64"}
	errBlankSecret = &Refusal{reason: "the signing secret is blank; NULL means none"}
	errShortSecret = &Refusal{reason: "the signing secret has fewer than 8 bytes, decoded if it begins with whsec_"}
	// errUnsigned: a message that had a secret is never sent without a signature.
	errUnsigned = &Refusal{reason: "the row has no signing secret any more, and DELIVERY_SIGNING_SECRETS is not set"}
	// errErased: a message whose body is gone must not be sent empty.
	errErased = &Refusal{reason: "the body was erased"}
)

// SigningKeys returns the keys of a text of secrets, in its order: white space separates them, so that a secret can be
// rotated. whsec_ and base64 is decoded, any other text is the key itself. A text without a secret in it, and a key of
// fewer than 8 bytes, are errors, which show nothing of the text.
func SigningKeys(text secret.String) ([][]byte, error) {
	secrets := strings.Fields(text.Reveal())
	if len(secrets) == 0 {
		return nil, errBlankSecret
	}
	keys := make([][]byte, len(secrets))
	for i, one := range secrets {
		var err error
		if keys[i], err = signingKey(one); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

func signingKey(text string) ([]byte, error) {
	key := []byte(text)
	if encoded, marked := strings.CutPrefix(text, secretPrefix); marked {
		decoded, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return nil, errSecret
		}
		key = decoded
	}
	if len(key) < minKeyBytes {
		return nil, errShortSecret
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
		keys, err := SigningKeys(text)
		if err != nil {
			return nil, err
		}
		for _, key := range keys {
			s.shared = append(s.shared, &sync.Pool{New: func() any { return newMAC(key) }})
		}
	}
	return s, nil
}

// signature returns the header's value: one signature for each secret, space-separated; empty when there is no secret.
// A message that has a secret is signed with it or not at all; one that had one before is never sent without a
// signature.
func (s *signer) signature(m *outbox.Message, timestamp string) (string, error) {
	switch {
	case !m.Secret.IsZero():
		return signedBy(m, timestamp)
	case len(s.shared) == 0 && m.HadSecret:
		return "", errUnsigned
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

// signedBy signs with the message's own secrets.
func signedBy(m *outbox.Message, timestamp string) (string, error) {
	keys, err := SigningKeys(m.Secret)
	if err != nil {
		return "", err
	}
	value := make([]byte, 0, len(keys)*signatureSize)
	for i, key := range keys {
		if i > 0 {
			value = append(value, ' ')
		}
		value = newMAC(key).append(value, m, timestamp)
	}
	return string(value), nil
}

// signatureSize is "v1,", the base64 of a SHA-256, and the space before the next.
const signatureSize = 3 + 44 + 1

// headSize is room for "id.timestamp." with the ids that outbox makes; a longer one finds its own.
const headSize = 64

// mac is one keyed hash with its buffers. It makes one signature; its hash must be reset before the next. It is not
// safe for concurrent use.
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
