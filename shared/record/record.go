// Package record protects single records: it seals and opens a body, and masks
// a record number. It knows no header format: what is authenticated beside the
// body, and the number that makes the nonce, come from the caller.
//
// Nothing here allocates after New. A Sealer, an Opener and a Mask are each for
// one goroutine at a time.
//
// Packages below shared carry no compatibility promise of their own.
package record

import (
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/godwit-dtls/godwit/shared/keys"
	"github.com/godwit-dtls/godwit/shared/suite"
)

// ErrOpen says that a record is too short or doesn't authenticate. It says no
// more, because whoever sent the record could learn from it.
var ErrOpen = errors.New("record: does not authenticate")

const (
	nonceLen  = 12 // of all AEADs of the table
	numberLen = 8  // of a record number in a nonce
	blockLen  = 16
)

// A protection is what Sealer and Opener have in common.
type protection struct {
	aead   cipher.AEAD
	params *suite.AEAD
	iv     [nonceLen]byte // the salt, then zeros
	nonce  [nonceLen]byte // scratch: an argument of an interface's method escapes
}

func newProtection(s *suite.Suite, k keys.RecordKey) (p protection, err error) {
	switch {
	case s.AEAD == nil:
		return p, fmt.Errorf("record: %s has no AEAD", s.Name)
	case len(k.Key) != s.AEAD.KeyLen:
		return p, fmt.Errorf("record: %s expects a key of %d bytes, got %d", s.Name, s.AEAD.KeyLen, len(k.Key))
	case len(k.IV) != s.AEAD.SaltLen:
		return p, fmt.Errorf("record: %s expects an IV of %d bytes, got %d", s.Name, s.AEAD.SaltLen, len(k.IV))
	}
	p.params = s.AEAD
	copy(p.iv[:], k.IV)
	if p.aead, err = s.AEAD.New(k.Key); err != nil {
		return p, fmt.Errorf("record: %s: %w", s.Name, err)
	}
	if n := p.aead.NonceSize(); n != nonceLen {
		return p, fmt.Errorf("record: %s expects a nonce of %d bytes, got %d", s.Name, nonceLen, n)
	}
	return p, nil
}

// Prefix is the number of bytes between header and ciphertext: the explicit
// nonce, 8 bytes for GCM in 1.2, else 0.
func (p *protection) Prefix() int { return p.params.ExplicitLen }

// Overhead is how much longer a sealed body is than its plaintext: Prefix and
// the tag.
func (p *protection) Overhead() int { return p.params.ExplicitLen + p.params.TagLen }

// setNonce makes the nonce of a body. With an explicit part it is the salt and
// that part, as it is on the wire (RFC 5288 3). Without one it is the IV with
// the number XORed into its end (RFC 9846 5.3, RFC 7905 2).
func (p *protection) setNonce(explicit []byte, number uint64) {
	p.nonce = p.iv
	if len(explicit) > 0 {
		copy(p.nonce[p.params.SaltLen:], explicit)
		return
	}
	tail := p.nonce[nonceLen-numberLen:]
	binary.BigEndian.PutUint64(tail, binary.BigEndian.Uint64(tail)^number)
}

// A Sealer protects the records of one direction with one key. It counts them,
// for the limits of the AEAD.
type Sealer struct {
	protection
	records uint64
	blocks  uint64
}

// NewSealer returns a Sealer. It fails if the key is not one for this suite.
func NewSealer(s *suite.Suite, k keys.RecordKey) (*Sealer, error) {
	p, err := newProtection(s, k)
	if err != nil {
		return nil, err
	}
	return &Sealer{protection: p}, nil
}

// Seal protects a body in place. body[:Prefix] is room for the explicit nonce,
// which Seal writes, and body[Prefix:] is the plaintext. Seal returns the body
// extended by the tag; it allocates only if the capacity lacks.
//
// The number is the record's: in 1.2 over datagrams epoch<<48 | sequence, else
// the sequence number. It must not repeat under one key: the explicit nonce is
// the number too, and never random, which could repeat (RFC 5288 3).
func (s *Sealer) Seal(body, additional []byte, number uint64) []byte {
	prefix := body[:s.params.ExplicitLen]
	plaintext := body[s.params.ExplicitLen:]
	if len(prefix) > 0 {
		binary.BigEndian.PutUint64(prefix, number)
	}
	s.setNonce(prefix, number)
	s.records++
	// One block more, for the tag: it is encrypted as well.
	s.blocks += uint64(len(plaintext)+blockLen-1)/blockLen + 1
	return s.aead.Seal(prefix, s.nonce[:], plaintext, additional)
}

// Sealed is how many records were sealed, and how many blocks of 16 bytes: to be
// compared with ConfidentialityRecords and ConfidentialityBlocks of the suite's
// AEAD, before they are reached.
func (s *Sealer) Sealed() (records, blocks uint64) { return s.records, s.blocks }

// LimitReached reports whether the key must not seal another record
// (RFC 9846 5.5, RFC 9147 4.5.3).
func (s *Sealer) LimitReached() bool {
	return s.records >= s.params.ConfidentialityRecords || s.blocks >= s.params.ConfidentialityBlocks
}

// NearLimit reports whether three quarters of that are used: time to change
// the key, while there is room left for the change to get through.
func (s *Sealer) NearLimit() bool {
	return s.records >= s.params.ConfidentialityRecords/4*3 || s.blocks >= s.params.ConfidentialityBlocks/4*3
}

// An Opener removes the protection of the records of one direction and key. It
// counts those that don't authenticate, for the limit of the AEAD.
type Opener struct {
	protection
	failed uint64
}

// NewOpener returns an Opener. It fails if the key is not one for this suite.
func NewOpener(s *suite.Suite, k keys.RecordKey) (*Opener, error) {
	p, err := newProtection(s, k)
	if err != nil {
		return nil, err
	}
	return &Opener{protection: p}, nil
}

// Open removes the protection of a body in place: explicit nonce, if any,
// ciphertext and tag. It returns the plaintext, a part of body. The number is
// as in [Sealer.Seal]. ErrOpen is the only error; body is overwritten then too.
func (o *Opener) Open(body, additional []byte, number uint64) ([]byte, error) {
	if len(body) < o.Overhead() {
		o.failed++
		return nil, ErrOpen
	}
	prefix, ciphertext := body[:o.params.ExplicitLen], body[o.params.ExplicitLen:]
	o.setNonce(prefix, number)
	plaintext, err := o.aead.Open(ciphertext[:0], o.nonce[:], ciphertext, additional)
	if err != nil {
		o.failed++
		return nil, ErrOpen
	}
	return plaintext, nil
}

// Failed is how many records did not authenticate: to be compared with
// Integrity of the suite's AEAD.
func (o *Opener) Failed() uint64 { return o.failed }

// LimitReached reports whether the key met as many records that don't
// authenticate as it may (RFC 9147 4.5.3).
func (o *Opener) LimitReached() bool { return o.failed >= o.params.Integrity }

// A Mask hides the record numbers of one direction and epoch of DTLS 1.3
// (RFC 9147 4.2.3).
type Mask struct {
	fill suite.MaskFunc
	mask [suite.SampleLen]byte
}

// NewMask returns a Mask for the Number of a [keys.RecordKey]. It fails if the
// suite doesn't encrypt record numbers, or the key is not one for it.
func NewMask(s *suite.Suite, key []byte) (*Mask, error) {
	if s.AEAD == nil || s.AEAD.NewMask == nil {
		return nil, fmt.Errorf("record: %s does not encrypt record numbers", s.Name)
	}
	if len(key) != s.AEAD.KeyLen {
		return nil, fmt.Errorf("record: %s expects a number key of %d bytes, got %d", s.Name, s.AEAD.KeyLen, len(key))
	}
	fill, err := s.AEAD.NewMask(key)
	if err != nil {
		return nil, fmt.Errorf("record: %s: %w", s.Name, err)
	}
	return &Mask{fill: fill}, nil
}

// Apply hides a record number that is in the clear, or uncovers one that is
// hidden, in place: 1 or 2 bytes as they are on the wire, and at most 16. The
// ciphertext is what follows the header, sealed. It reports false, and changes
// nothing, if that is shorter than 16 bytes.
func (m *Mask) Apply(number, ciphertext []byte) bool {
	if len(ciphertext) < suite.SampleLen {
		return false
	}
	m.fill(m.mask[:], ciphertext[:suite.SampleLen])
	subtle.XORBytes(number, number, m.mask[:])
	return true
}
