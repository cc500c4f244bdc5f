package record

import (
	"crypto/cipher"
	"encoding/binary"
	"fmt"

	"github.com/godwit-dtls/godwit/shared/keys"
	"github.com/godwit-dtls/godwit/shared/suite"
)

const (
	nonceLen  = 12 // of all AEADs of the table
	numberLen = 8  // of a record number in a nonce
	blockLen  = 16
)

// An aead protects with an AEAD.
type aead struct {
	aead   cipher.AEAD
	params *suite.AEAD
	iv     [nonceLen]byte // the salt, then zeros
	nonce  [nonceLen]byte // scratch: an argument of an interface's method escapes
}

func newAEAD(s *suite.Suite, k keys.RecordKey) (*aead, error) {
	made, err := s.AEAD.New(k.Key)
	if err != nil {
		return nil, fmt.Errorf("record: %s: %w", s.Name, err)
	}
	if n := made.NonceSize(); n != nonceLen {
		return nil, fmt.Errorf("record: %s expects a nonce of %d bytes, got %d", s.Name, nonceLen, n)
	}
	a := &aead{aead: made, params: s.AEAD}
	copy(a.iv[:], k.IV)
	return a, nil
}

func (a *aead) prefix() int         { return a.params.ExplicitLen }
func (a *aead) sealedLen(n int) int { return a.params.ExplicitLen + n + a.params.TagLen }
func (a *aead) room(n int) int      { return n - a.params.ExplicitLen - a.params.TagLen }

func (a *aead) seal(body, additional []byte, number uint64) []byte {
	explicit, plaintext := body[:a.params.ExplicitLen], body[a.params.ExplicitLen:]
	if len(explicit) > 0 {
		binary.BigEndian.PutUint64(explicit, number)
	}
	a.setNonce(explicit, number)
	return a.aead.Seal(explicit, a.nonce[:], plaintext, additional)
}

func (a *aead) open(body, additional []byte, number uint64) ([]byte, bool) {
	if a.room(len(body)) < 0 {
		return nil, false
	}
	explicit, ciphertext := body[:a.params.ExplicitLen], body[a.params.ExplicitLen:]
	a.setNonce(explicit, number)
	plaintext, err := a.aead.Open(ciphertext[:0], a.nonce[:], ciphertext, additional)
	return plaintext, err == nil
}

// setNonce makes the nonce of a body. With an explicit part it is the salt and
// that part, as it is on the wire (RFC 5288 3). Without one it is the IV with
// the number XORed into its end (RFC 9846 5.3, RFC 7905 2).
func (a *aead) setNonce(explicit []byte, number uint64) {
	a.nonce = a.iv
	if len(explicit) > 0 {
		copy(a.nonce[a.params.SaltLen:], explicit)
		return
	}
	tail := a.nonce[nonceLen-numberLen:]
	binary.BigEndian.PutUint64(tail, binary.BigEndian.Uint64(tail)^number)
}
