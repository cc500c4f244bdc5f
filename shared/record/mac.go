package record

import (
	"crypto"
	"crypto/subtle"
	"encoding"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
)

// A mac is an HMAC (RFC 2104) that can also take a text whose length is a
// secret. SHA-1 and SHA-256 have blocks of 64 bytes:
//
//	HMAC = H(opad | H(ipad | additional | content))
//
// The two keyed blocks are hashed once; every record goes on from there.
type mac struct {
	hash         resumable
	size         int    // bytes
	inner, outer []byte // states of the hash behind ipad and opad
	state        []byte // scratch
	block        [hashBlockLen]byte
	sum          [maxMACLen]byte
}

// A resumable is a hash whose state can be taken out and put back.
type resumable interface {
	hash.Hash
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

const (
	hashBlockLen = 64
	maxMACLen    = 32

	// What stands before the chaining value in the state of crypto/sha1 and
	// crypto/sha256.
	stateMagicLen = 4

	// The end of what is hashed: a byte 0x80, zeros, the length in bits
	// (FIPS 180-4 5.1.1).
	endByte, endLen = 0x80, 1 + 8
)

func newMAC(h crypto.Hash, key []byte) (*mac, error) {
	r, ok := h.New().(resumable)
	if !ok || r.BlockSize() != hashBlockLen || r.Size() > maxMACLen {
		return nil, fmt.Errorf("%v can't be the hash of a MAC here", h)
	}
	return keyedMAC(r, key)
}

func keyedMAC(h resumable, key []byte) (*mac, error) {
	m := &mac{hash: h, size: h.Size()}
	if len(key) > hashBlockLen {
		return nil, errors.New("the key of a MAC is longer than a block")
	}
	keyed := func(pad byte) ([]byte, error) {
		h.Reset()
		copy(m.block[:], key)
		clear(m.block[len(key):])
		for i := range m.block {
			m.block[i] ^= pad
		}
		h.Write(m.block[:])
		return h.AppendBinary(nil)
	}
	var innerErr, outerErr error
	m.inner, innerErr = keyed(0x36)
	m.outer, outerErr = keyed(0x5c)
	m.state = make([]byte, 0, len(m.inner))
	return m, errors.Join(innerErr, outerErr)
}

// append appends the MAC of the content to b. It puts the content's length into
// additional.
func (m *mac) append(b, additional, content []byte) []byte {
	putLength(additional, len(content))
	m.hash.UnmarshalBinary(m.inner) // a state of its own
	m.hash.Write(additional)
	m.hash.Write(content)
	m.hash.Sum(m.sum[:0])
	return m.finish(b)
}

// finish hashes the inner sum.
func (m *mac) finish(b []byte) []byte {
	m.hash.UnmarshalBinary(m.outer)
	m.hash.Write(m.sum[:m.size])
	return m.hash.Sum(b)
}

// sumSecret writes the MAC of text[:n] into into, where n is a secret: text goes
// on with the MAC and up to 256 bytes of padding. It always hashes as many blocks
// as the longest content would need, the last ones made up by hand with the end
// of the hash's input wherever that is, and keeps the state behind the one that
// was really the last.
func (m *mac) sumSecret(into, additional, text []byte, n int) {
	putLength(additional, n)
	longest := len(additional) + len(text) - m.size - 1
	shortest := max(0, longest-maxPaddingLen)
	length := len(additional) + n // secret
	final := (length + endLen - 1) / hashBlockLen

	// Blocks that are full in any case.
	m.hash.UnmarshalBinary(m.inner)
	whole := shortest / hashBlockLen
	head := min(len(additional), whole*hashBlockLen)
	m.hash.Write(additional[:head])
	m.hash.Write(text[:whole*hashBlockLen-head])
	clear(m.sum[:])
	for i := whole; i <= (longest+endLen-1)/hashBlockLen; i++ {
		last := subtle.ConstantTimeEq(int32(i), int32(final))
		m.fillBlock(additional, text, i*hashBlockLen, length, last)
		m.hash.Write(m.block[:])
		m.state, _ = m.hash.AppendBinary(m.state[:0])
		for j := range m.sum[:m.size] {
			m.sum[j] |= m.state[stateMagicLen+j] & byte(-last)
		}
	}
	m.finish(into[:0])
}

// fillBlock makes the block at start of what is hashed: additional and text up
// to length, and the end.
func (m *mac) fillBlock(additional, text []byte, start, length, last int) {
	clear(m.block[:])
	n := 0
	if start < len(additional) {
		n = copy(m.block[:], additional[start:])
	}
	copy(m.block[n:], text[min(max(0, start+n-len(additional)), len(text)):])
	for i := range m.block {
		inside := subtle.ConstantTimeLessOrEq(start+i+1, length)
		end := subtle.ConstantTimeEq(int32(start+i), int32(length))
		m.block[i] = m.block[i]&byte(-inside) | endByte&byte(-end)
	}
	var bits [8]byte
	binary.BigEndian.PutUint64(bits[:], uint64(hashBlockLen+length)*8)
	for i, b := range bits {
		m.block[hashBlockLen-len(bits)+i] |= b & byte(-last)
	}
}
