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
	numberLen = 8  // of a record number, at the end of a nonce
	blockLen  = 16
)

// An aead protects with an AEAD. A nonce is the IV with a number XORed into its end
// (RFC 9846 5.3, RFC 7905 2). Where that number is on the wire, the explicit nonce,
// the IV is a salt and then zeros (RFC 5288 3): there it comes to the same.
type aead struct {
	aead     cipher.AEAD
	explicit int            // bytes of explicit nonce before the ciphertext: 8 or none
	shortest int            // body that can be one
	ivEnd    uint64         // of the IV
	nonce    [nonceLen]byte // scratch: an argument of an interface's method escapes
}

func newAEAD(s *suite.Suite, k keys.RecordKey) (*aead, error) {
	made, err := s.AEAD.New(k.Key)
	if err != nil {
		return nil, fmt.Errorf("record: %s: %w", s.Name, err)
	}
	if n := made.NonceSize(); n != nonceLen {
		return nil, fmt.Errorf("record: %s expects a nonce of %d bytes, got %d", s.Name, nonceLen, n)
	}
	a := &aead{aead: made, explicit: s.AEAD.ExplicitLen}
	a.shortest = a.explicit + s.AEAD.TagLen
	copy(a.nonce[:], k.IV)
	a.ivEnd = binary.BigEndian.Uint64(a.nonce[nonceLen-numberLen:])
	return a, nil
}

func (a *aead) seal(dst, plaintext, additional []byte, number uint64) []byte {
	if a.explicit > 0 {
		dst = binary.BigEndian.AppendUint64(dst, number)
	}
	return a.aead.Seal(dst, a.nonceOf(number), plaintext, additional)
}

func (a *aead) open(body, additional []byte, number uint64) ([]byte, bool) {
	if len(body) < a.shortest {
		return nil, false
	}
	if a.explicit > 0 { // the peer's choice: it needn't be the record number
		number = binary.BigEndian.Uint64(body)
	}
	ciphertext := body[a.explicit:]
	plaintext, err := a.aead.Open(ciphertext[:0], a.nonceOf(number), ciphertext, additional)
	return plaintext, err == nil
}

func (a *aead) nonceOf(number uint64) []byte {
	binary.BigEndian.PutUint64(a.nonce[nonceLen-numberLen:], a.ivEnd^number)
	return a.nonce[:]
}
