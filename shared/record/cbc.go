package record

import (
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"fmt"

	"github.com/godwit-dtls/godwit/shared/keys"
	"github.com/godwit-dtls/godwit/shared/suite"
)

// A body of a CBC suite (RFC 5246 6.2.3.2), all but the IV encrypted:
//
//	IV[16] | content | MAC | padding | uint8 padding_length
//
// where each byte of padding is padding_length too. The MAC is over additional
// data and content, and encrypted with them: so the receiver decrypts, and looks
// at padding, before it knows that any of it is the peer's. Where the padding
// ends is a secret as long as the MAC hasn't said that it is right. An attacker
// who can tell the two faults apart, by an error or by a microsecond, reads the
// plaintext byte by byte (Vaudenay; Lucky Thirteen). Hence open makes one
// decision of both, and neither its branches, nor what it reads in memory, nor
// the number of blocks that it hashes depend on the padding.

// A cbc protects with CBC and HMAC.
type cbc struct {
	mode    blockMode
	mac     *mac
	shape   shape
	expects [maxMACLen]byte // scratch: what open computes
	came    [maxMACLen]byte // and what it finds
}

// A blockMode takes the IV of each record, which cipher.BlockMode doesn't say.
type blockMode interface {
	cipher.BlockMode
	SetIV(iv []byte)
}

const (
	ivLen         = blockLen
	maxPaddingLen = 255 // and its length byte
)

// newCBC returns the protection of one direction, with the mode that new makes:
// cipher.NewCBCEncrypter or cipher.NewCBCDecrypter.
func newCBC(s *suite.Suite, k keys.RecordKey, mode func(cipher.Block, []byte) cipher.BlockMode) (*cbc, error) {
	block, err := s.CBC.New(k.Key)
	if err != nil {
		return nil, fmt.Errorf("record: %s: %w", s.Name, err)
	}
	m, ok := mode(block, make([]byte, ivLen)).(blockMode)
	if !ok || block.BlockSize() != blockLen {
		return nil, fmt.Errorf("record: %s expects a cipher with blocks of %d bytes, whose IV can be set", s.Name, blockLen)
	}
	mac, err := newMAC(s.CBC.MAC, k.MAC)
	if err != nil {
		return nil, fmt.Errorf("record: %s: %w", s.Name, err)
	}
	return &cbc{mode: m, mac: mac, shape: shapeOf(s)}, nil
}

// seal draws the IV at random, as each must be unpredictable (RFC 5246
// 6.2.3.2). The record number is a part of the additional data.
func (c *cbc) seal(dst, content, additional []byte, _ uint64) []byte {
	var iv [ivLen]byte
	rand.Read(iv[:]) // never fails
	return c.sealUnder(iv, dst, content, additional)
}

// sealUnder is seal with an IV.
func (c *cbc) sealUnder(iv [ivLen]byte, dst, content, additional []byte) []byte {
	start := len(dst)
	dst = append(append(dst, iv[:]...), content...)
	size := c.shape.SealedLen(len(content))
	dst = c.mac.append(dst, additional, content)
	padding := start + size - len(dst) - 1
	for range padding + 1 {
		dst = append(dst, byte(padding))
	}
	body := dst[start:]
	c.mode.SetIV(body[:ivLen])
	c.mode.CryptBlocks(body[ivLen:], body[ivLen:])
	return dst
}

func (c *cbc) open(body, additional []byte, _ uint64) ([]byte, bool) {
	// What these compare, everybody can see.
	if len(body)%blockLen != 0 || len(body) < c.shape.SealedLen(0) {
		return nil, false
	}
	text := body[ivLen:]
	c.mode.SetIV(body[:ivLen])
	c.mode.CryptBlocks(text, text)

	padding, good := checkPadding(text, c.mac.size)
	n := len(text) - c.mac.size - padding - 1 // a secret from here on
	expects, came := c.expects[:c.mac.size], c.came[:c.mac.size]
	c.mac.sumSecret(expects, additional, text, n)
	copySecret(came, text, n)
	if good&subtle.ConstantTimeCompare(expects, came) != 1 {
		return nil, false
	}
	return text[:n], true
}

// checkPadding returns the number of bytes of padding without its length byte,
// and 1; or two zeros if it is wrong, since the MAC is computed then too
// (RFC 5246 6.2.3.2).
func checkPadding(text []byte, macLen int) (padding, good int) {
	last := text[len(text)-1]
	padding = int(last)
	good = subtle.ConstantTimeLessOrEq(macLen+padding+1, len(text))
	// All bytes that can be padding, backwards, the length byte first.
	for i := range min(maxPaddingLen+1, len(text)) {
		belongs := subtle.ConstantTimeLessOrEq(i, padding)
		same := subtle.ConstantTimeByteEq(text[len(text)-1-i], last)
		good &= subtle.ConstantTimeSelect(belongs, same, 1)
	}
	return subtle.ConstantTimeSelect(good, padding, 0), good
}

// copySecret copies the MAC that begins at text[n], where n is a secret, into
// mac. It reads all places that the MAC can be at into a ring of the MAC's
// length, each byte masked, and turns that until the MAC's first byte is first.
func copySecret(mac, text []byte, n int) {
	size := len(mac)
	first := max(0, len(text)-size-maxPaddingLen-1)
	clear(mac)
	place, start := 0, 0
	for i := first; i < len(text); i++ {
		begins := subtle.ConstantTimeEq(int32(i), int32(n))
		start |= subtle.ConstantTimeSelect(begins, place, 0)
		belongs := subtle.ConstantTimeLessOrEq(n, i) & subtle.ConstantTimeLessOrEq(i+1, n+size)
		mac[place] |= text[i] & byte(-belongs)
		if place++; place == size {
			place = 0
		}
	}
	// By 1, 2, 4, ... places, as the bits of start say.
	var turned [maxMACLen]byte
	for step := 1; step < size; step <<= 1 {
		from := step % size
		for i := range mac {
			turned[i] = byte(subtle.ConstantTimeSelect(start&1, int(mac[from]), int(mac[i])))
			if from++; from == size {
				from = 0
			}
		}
		copy(mac, turned[:size])
		start >>= 1
	}
}

// lengthLen is the length that stands at the end of the additional data.
const lengthLen = 2

// putLength writes the length of the content there (RFC 5246 6.2.3.1): only open
// learns it.
func putLength(additional []byte, n int) {
	binary.BigEndian.PutUint16(additional[len(additional)-lengthLen:], uint16(n))
}
