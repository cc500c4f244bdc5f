// Package record protects single records: it seals and opens a body, and masks
// a record number. It knows no header format: what is authenticated beside the
// body, and the number that makes the nonce, come from the caller.
//
// Nothing here allocates after New, but CCM does once in a record of more than
// 384 bytes, and what was at Rest when it wakes up. A Sealer, an Opener and a Mask are
// each for one goroutine at a time.
//
// Packages below shared carry no compatibility promise of their own.
package record

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/godwit-dtls/godwit/shared/keys"
	"github.com/godwit-dtls/godwit/shared/suite"
)

// ErrOpen says that a record is too short or doesn't authenticate. It says no
// more, because whoever sent the record could learn from it.
var ErrOpen = errors.New("record: does not authenticate")

// A protection is one suite's way with the bodies of records.
type protection interface {
	seal(dst, plaintext, additional []byte, number uint64) []byte
	open(body, additional []byte, number uint64) ([]byte, bool)
}

// A shape is what a suite adds to the plaintext of a body: a prefix, and a suffix
// with which it fills blocks. The suffix is the tag, or the MAC and the least padding
// of CBC, its length byte.
type shape struct {
	prefix, suffix int // bytes
	block          int // a power of two
}

func shapeOf(s *suite.Suite) shape {
	if s.CBC != nil {
		return shape{ivLen, s.CBC.MACLen() + 1, blockLen}
	}
	return shape{s.AEAD.ExplicitLen, s.AEAD.TagLen, 1}
}

// Prefix is the number of bytes between header and ciphertext: the explicit
// nonce, 8 bytes for GCM and CCM in 1.2, the IV of CBC, else 0.
func (s *shape) Prefix() int { return s.prefix }

// SealedLen is the length of a sealed body with n bytes of plaintext.
func (s *shape) SealedLen(n int) int { return s.prefix + (n+s.suffix+s.block-1)&^(s.block-1) }

// Room is the most plaintext whose sealed body has at most n bytes; negative if
// there is none.
func (s *shape) Room(n int) int { return n&^(s.block-1) - s.prefix - s.suffix }

// A secured is what Sealer and Opener have in common: a key, and what it is made into
// to protect records. That is some six times as large as the key, which is enough for
// a connection at rest.
type secured struct {
	shape
	suite      *suite.Suite
	key        keys.RecordKey
	mode       func(cipher.Block, []byte) cipher.BlockMode // of a CBC suite
	limits     *suite.Limits
	protection protection // nil: at rest
}

func secure(s *suite.Suite, k keys.RecordKey, mode func(cipher.Block, []byte) cipher.BlockMode) (secured, error) {
	if s.AEAD == nil && s.CBC == nil {
		return secured{}, fmt.Errorf("record: %s does not protect records", s.Name)
	}
	macLen, keyLen, ivLen := s.Lengths()
	for _, part := range []struct {
		what      string
		got, want int
	}{{"MAC key", len(k.MAC), macLen}, {"key", len(k.Key), keyLen}, {"IV", len(k.IV), ivLen}} {
		if part.got != part.want {
			return secured{}, fmt.Errorf("record: %s expects %s of %d bytes, got %d", s.Name, part.what, part.want, part.got)
		}
	}
	made := secured{shape: shapeOf(s), suite: s, key: k, mode: mode}
	if s.CBC != nil {
		made.limits = &s.CBC.Limits
	} else {
		made.limits = &s.AEAD.Limits
	}
	return made, made.make()
}

// make makes the protection of the key.
func (s *secured) make() (err error) {
	if s.suite.CBC != nil {
		s.protection, err = newCBC(s.suite, s.key, s.mode)
	} else {
		s.protection, err = newAEAD(s.suite, s.key)
	}
	return err
}

// wake ends a rest.
func (s *secured) wake() {
	if err := s.make(); err != nil {
		panic("record: " + err.Error()) // it was made of this key before
	}
}

// Rest lets go of all but the key, until the next record.
func (s *secured) Rest() { s.protection = nil }

// Resting reports whether it did.
func (s *secured) Resting() bool { return s.protection == nil }

// Key is the key, for a connection that goes on elsewhere.
func (s *secured) Key() keys.RecordKey { return s.key }

// A Sealer protects the records of one direction with one key. It counts them,
// for the limits of the suite.
type Sealer struct {
	secured
	records uint64
	blocks  uint64
}

// NewSealer returns a Sealer. It fails if the key is not one for this suite.
func NewSealer(s *suite.Suite, k keys.RecordKey) (*Sealer, error) {
	made, err := secure(s, k, cipher.NewCBCEncrypter)
	if err != nil {
		return nil, err
	}
	return &Sealer{secured: made}, nil
}

// Seal appends a sealed body to dst. The plaintext lies behind dst already, where Prefix
// and nothing else is between, or in other memory. Seal allocates only if the
// capacity lacks.
//
// The number is the record's: in 1.2 over datagrams epoch<<48 | sequence, else
// the sequence number. It must not repeat under one key: the explicit nonce is
// the number too, and never random, which could repeat (RFC 5288 3).
//
// In 1.2 the last two bytes of additional are the length of the plaintext
// (RFC 5246 6.2.3.1, 6.2.3.3).
func (s *Sealer) Seal(dst, plaintext, additional []byte, number uint64) []byte {
	s.records++
	// One block more, for the tag: it is encrypted as well.
	s.blocks += uint64(len(plaintext)+blockLen-1)/blockLen + 1
	if s.protection == nil {
		s.wake()
	}
	return s.protection.seal(dst, plaintext, additional, number)
}

// Sealed is how many records were sealed, and how many blocks of 16 bytes: to be
// compared with ConfidentialityRecords and ConfidentialityBlocks of the suite,
// before they are reached.
func (s *Sealer) Sealed() (records, blocks uint64) { return s.records, s.blocks }

// Resume counts on from what another Sealer with the same key has sealed.
func (s *Sealer) Resume(records, blocks uint64) { s.records, s.blocks = records, blocks }

// LimitReached reports whether the key must not seal another record
// (RFC 9846 5.5, RFC 9147 4.5.3).
func (s *Sealer) LimitReached() bool {
	return s.records >= s.limits.ConfidentialityRecords || s.blocks >= s.limits.ConfidentialityBlocks
}

// NearLimit reports whether three quarters of that are used: time to change
// the key, while there is room left for the change to get through.
func (s *Sealer) NearLimit() bool {
	return s.records >= s.limits.ConfidentialityRecords/4*3 || s.blocks >= s.limits.ConfidentialityBlocks/4*3
}

// An Opener removes the protection of the records of one direction and key. It
// counts those that don't authenticate, for the limit of the suite.
//
// RFC 9846 5.5 [3]
type Opener struct {
	secured
	failed uint64
}

// NewOpener returns an Opener. It fails if the key is not one for this suite.
func NewOpener(s *suite.Suite, k keys.RecordKey) (*Opener, error) {
	made, err := secure(s, k, cipher.NewCBCDecrypter)
	if err != nil {
		return nil, err
	}
	return &Opener{secured: made}, nil
}

// PlaintextLen is the most plaintext that a body of n bytes can have, and what it
// has unless the suite is one of CBC: the length for the additional data of 1.2.
func (o *Opener) PlaintextLen(n int) int { return max(0, o.Room(n)) }

// Open removes the protection of a body in place: explicit nonce or IV, if any,
// ciphertext and what follows it. It returns the plaintext, a part of body. The
// number is as in [Sealer.Seal], and so are the additional data; but CBC hides the
// length of the plaintext, and Open itself puts it into their last two bytes.
// ErrOpen is the only error; body is overwritten then too.
//
// RFC 9147 4.5.3 [3]
func (o *Opener) Open(body, additional []byte, number uint64) ([]byte, error) {
	if o.protection == nil {
		o.wake()
	}
	plaintext, ok := o.protection.open(body, additional, number)
	if !ok {
		o.failed++
		return nil, ErrOpen
	}
	return plaintext, nil
}

// Failed is how many records did not authenticate: to be compared with
// Integrity of the suite.
func (o *Opener) Failed() uint64 { return o.failed }

// Resume counts on from what another Opener with the same key has met.
func (o *Opener) Resume(failed uint64) { o.failed = failed }

// LimitReached reports whether the key met as many records that don't
// authenticate as it may (RFC 9147 4.5.3).
func (o *Opener) LimitReached() bool { return o.failed >= o.limits.Integrity }

// Spares reports whether one may be tried more than once: half of the limit is more
// than 2^16 ahead. The short tags of CCM_8 never spare any.
func (o *Opener) Spares() bool { return o.failed+1<<16 < o.limits.Integrity/2 }

// NearLimit reports whether it met three quarters of them: time for the peer to
// change its key.
func (o *Opener) NearLimit() bool { return o.failed >= o.limits.Integrity/4*3 }

// A Mask hides the record numbers of one direction and epoch of DTLS 1.3
// (RFC 9147 4.2.3).
type Mask struct {
	suite *suite.Suite
	key   []byte
	fill  suite.MaskFunc // nil: at rest
	mask  [suite.SampleLen]byte
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
	return &Mask{suite: s, key: key, fill: fill}, nil
}

// wake ends a rest.
func (m *Mask) wake() {
	var err error
	if m.fill, err = m.suite.AEAD.NewMask(m.key); err != nil {
		panic("record: " + err.Error()) // it was made of this key before
	}
}

// Rest lets go of all but the key, until the next record.
func (m *Mask) Rest() { m.fill = nil }

// Resting reports whether it did.
func (m *Mask) Resting() bool { return m.fill == nil }

// Apply hides a record number that is in the clear, or uncovers one that is
// hidden, in place: 1 or 2 bytes as they are on the wire. The ciphertext is what
// follows the header, sealed. It reports false, and changes nothing, if that is
// shorter than 16 bytes.
//
// RFC 9147 4.2.3 [1]
func (m *Mask) Apply(number, ciphertext []byte) bool {
	if len(ciphertext) < suite.SampleLen {
		return false
	}
	if m.fill == nil {
		m.wake()
	}
	m.fill(m.mask[:], ciphertext[:suite.SampleLen])
	if len(number) == 1 {
		number[0] ^= m.mask[0]
	} else {
		binary.BigEndian.PutUint16(number, binary.BigEndian.Uint16(number)^binary.BigEndian.Uint16(m.mask[:]))
	}
	return true
}
