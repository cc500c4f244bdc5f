// Package ccm is CCM: counter mode with a MAC of the same block cipher, chained
// (RFC 3610). It is what devices with an AES engine and little else have.
//
// It takes the standard library's CBC and CTR as they are. A MAC by CBC is one
// chain of encryptions, each of which waits for the one before: that is most of
// the time here, and why GCM is so much faster.
//
// Packages below shared carry no compatibility promise of their own.
package ccm

import (
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

const blockLen = 16

// scratchBlocks is how many blocks of key stream are made one by one. More are
// made by cipher.NewCTR, whose assembly encrypts many at a time, but which first
// copies the expanded key to the heap: as dear as two dozen blocks. It is less
// than 255, so that the counter of a short message stays in one byte.
const scratchBlocks = 24

// A ccm holds what a message needs beside its own memory, because an argument of
// an interface's method escapes.
type ccm struct {
	block    cipher.Block
	chain    cipher.BlockMode // CBC, which goes on from mac
	nonceLen int              // N of the RFC is this long
	tagLen   int              // its M

	mac     [blockLen]byte // the last block of chain
	counter [blockLen]byte // A_i
	tag     [blockLen]byte // S_0, then S_0 XOR mac
	scratch [scratchBlocks * blockLen]byte
}

// New returns CCM with a block cipher of 16-byte blocks, nonces of 7 to 13 bytes
// and tags of 4 to 16 bytes, an even number. A message has less than
// 256^(15-nonceLen) bytes. In TLS nonces have 12 bytes, and tags 8 or 16 (RFC 6655
// 3 and 6).
//
// Unlike the standard library's AEADs it keeps its scratch memory to itself: it is
// for one goroutine at a time. Seal and Open don't allocate for messages of up to
// 384 bytes, and once, half a kilobyte, for longer ones; and for dst if its
// capacity lacks.
func New(block cipher.Block, nonceLen, tagLen int) (cipher.AEAD, error) {
	switch {
	case block.BlockSize() != blockLen:
		return nil, fmt.Errorf("ccm: expected a cipher with blocks of %d bytes, got %d", blockLen, block.BlockSize())
	case nonceLen < 7 || nonceLen > 13:
		return nil, fmt.Errorf("ccm: expected nonces of 7 to 13 bytes, got %d", nonceLen)
	case tagLen < 4 || tagLen > blockLen || tagLen%2 != 0:
		return nil, fmt.Errorf("ccm: expected tags of 4, 6, ... 16 bytes, got %d", tagLen)
	}
	c := &ccm{block: block, nonceLen: nonceLen, tagLen: tagLen}
	c.chain = cipher.NewCBCEncrypter(block, c.mac[:])
	return c, nil
}

func (c *ccm) NonceSize() int { return c.nonceLen }
func (c *ccm) Overhead() int  { return c.tagLen }

// errOpen says no more, because whoever made the message could learn from it.
var errOpen = errors.New("ccm: message does not authenticate")

// Seal is cipher.AEAD's: plaintext and the result lie in the same place or apart.
func (c *ccm) Seal(dst, nonce, plaintext, additional []byte) []byte {
	c.checkNonce(nonce)
	if !c.fits(len(plaintext)) {
		panic("ccm: message too long for this length of nonce")
	}
	all, out := extend(dst, len(plaintext)+c.tagLen)
	c.authenticate(nonce, plaintext, additional)
	c.encrypt(out[:len(plaintext)], plaintext, nonce)
	subtle.XORBytes(c.tag[:], c.tag[:], c.mac[:])
	copy(out[len(plaintext):], c.tag[:])
	return all
}

// Open is cipher.AEAD's: ciphertext and the result begin in the same place or lie
// apart. The result is overwritten with zeros if the tag is wrong.
func (c *ccm) Open(dst, nonce, ciphertext, additional []byte) ([]byte, error) {
	c.checkNonce(nonce)
	n := len(ciphertext) - c.tagLen
	if n < 0 || !c.fits(n) {
		return nil, errOpen
	}
	all, out := extend(dst, n)
	c.encrypt(out, ciphertext[:n], nonce)
	c.authenticate(nonce, out, additional)
	subtle.XORBytes(c.tag[:], c.tag[:], c.mac[:])
	if subtle.ConstantTimeCompare(c.tag[:c.tagLen], ciphertext[n:]) != 1 {
		clear(out)
		return nil, errOpen
	}
	return all, nil
}

func (c *ccm) checkNonce(nonce []byte) {
	if len(nonce) != c.nonceLen {
		panic(fmt.Sprintf("ccm: expected a nonce of %d bytes, got %d", c.nonceLen, len(nonce)))
	}
}

// fits reports whether the length of a message can be told in the L bytes that the
// nonce leaves for it (RFC 3610 2.1).
func (c *ccm) fits(n int) bool {
	bits := 8 * (blockLen - 1 - c.nonceLen)
	return bits >= 64 || uint64(n) < 1<<bits
}

// extend returns b with n more bytes, and those.
func extend(b []byte, n int) (all, added []byte) {
	all = slices.Grow(b, n)[:len(b)+n]
	return all, all[len(b):]
}

// authenticate leaves the MAC of a message in c.mac (RFC 3610 2.2).
func (c *ccm) authenticate(nonce, plaintext, additional []byte) {
	head := c.scratch[:blockLen]
	c.putFirstBlock(head, nonce, plaintext, additional)
	// The chain goes on from the message before; XORed twice, that is nothing.
	subtle.XORBytes(head, head, c.mac[:])
	if len(additional) > 0 {
		head = appendLength(head, uint64(len(additional)))
		n := min(len(additional), len(c.scratch)-len(head))
		head = append(head, additional[:n]...) // in scratch
		additional = additional[n:]            // nothing, or scratch is full
	}
	c.absorbScratch(len(head))
	c.absorb(additional)
	c.absorb(plaintext)
}

// putFirstBlock writes B_0 (RFC 3610 2.2).
func (c *ccm) putFirstBlock(b, nonce, plaintext, additional []byte) {
	binary.BigEndian.PutUint64(b[blockLen-8:], uint64(len(plaintext)))
	copy(b[1:], nonce) // where the length has zeros
	b[0] = byte((c.tagLen-2)/2<<3 | (blockLen - 2 - c.nonceLen))
	if len(additional) > 0 {
		b[0] |= 1 << 6
	}
}

// appendLength tells the length of the additional data (RFC 3610 2.2).
func appendLength(b []byte, n uint64) []byte {
	switch {
	case n < 1<<16-1<<8:
		return binary.BigEndian.AppendUint16(b, uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, 0xff, 0xfe), uint32(n))
	default:
		return binary.BigEndian.AppendUint64(append(b, 0xff, 0xff), n)
	}
}

// absorb takes data into the MAC, with zeros after them up to a whole block. What
// the chain encrypts on its way is of no use but for its end.
func (c *ccm) absorb(data []byte) {
	for len(data) >= blockLen {
		n := min(len(data)/blockLen*blockLen, len(c.scratch))
		c.chain.CryptBlocks(c.scratch[:n], data[:n])
		copy(c.mac[:], c.scratch[n-blockLen:])
		data = data[n:]
	}
	if len(data) > 0 {
		c.absorbScratch(copy(c.scratch[:], data))
	}
}

// absorbScratch is absorb for the first n bytes of scratch.
func (c *ccm) absorbScratch(n int) {
	whole := (n + blockLen - 1) / blockLen * blockLen
	clear(c.scratch[n:whole])
	c.chain.CryptBlocks(c.scratch[:whole], c.scratch[:whole])
	copy(c.mac[:], c.scratch[whole-blockLen:])
}

// encrypt XORs a message with the key stream, S_1 and so on, and leaves S_0 in
// c.tag (RFC 3610 2.3).
func (c *ccm) encrypt(dst, src, nonce []byte) {
	clear(c.counter[:])
	c.counter[0] = byte(blockLen - 2 - c.nonceLen)
	copy(c.counter[1:], nonce)
	c.block.Encrypt(c.tag[:], c.counter[:])
	c.counter[blockLen-1] = 1
	if len(src) > len(c.scratch) {
		cipher.NewCTR(c.block, c.counter[:]).XORKeyStream(dst, src)
		return
	}
	// All counters first: a block that was just written in parts is slow to load.
	high, low := binary.BigEndian.Uint64(c.counter[:]), binary.BigEndian.Uint64(c.counter[8:])
	for n := 0; n < len(src); n += blockLen {
		binary.BigEndian.PutUint64(c.scratch[n:], high)
		binary.BigEndian.PutUint64(c.scratch[n+8:], low)
		low++
	}
	for n := 0; n < len(src); n += blockLen {
		c.block.Encrypt(c.scratch[n:], c.scratch[n:])
	}
	subtle.XORBytes(dst, src, c.scratch[:])
}
