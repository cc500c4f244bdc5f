package dtls

import (
	"encoding/binary"
	"math"
)

// The unified header of DTLS 1.3 (RFC 9147 4):
//
//	0 0 1 C S L E E | connection ID, if C | u8 or (if S) u16 number | u16 length, if L
//
// The number is encrypted. Without a length the record goes on to the end of
// the datagram. We write 16 bits of number and the length, unless Config says
// otherwise, and read every form.
const (
	unifiedBits   = 0b0010_0000
	unifiedMask   = 0b1110_0000
	bitCID        = 0b0001_0000
	bitNumber16   = 0b0000_1000
	bitLength     = 0b0000_0100
	epochBits     = 0b0000_0011
	headerSize13  = 5       // of the long form
	maxRecordBody = 1 << 14 // of plaintext, in bytes
)

// A form is how much of number and length a unified header has: its bits S and L.
type form byte

const (
	longForm      form = bitNumber16 | bitLength
	shortForm     form = bitLength
	withoutLength form = ^form(bitLength) // a mask
)

// size is how many bytes the header has, without its connection ID.
func (f form) size() int { return 2 + int(f&bitNumber16)/bitNumber16 + 2*int(f&bitLength)/bitLength }

// A header13 says where the parts of a record stand in its datagram.
type header13 struct {
	number int // the encrypted number, of one or two bytes
	body   int // behind the header
	end    int // of the record
}

// isUnified reports whether a record's first byte begins a unified header.
//
// RFC 9147 4.1 [2]
func isUnified(first byte) bool { return first&unifiedMask == unifiedBits }

// hasID reports whether a unified header has a connection ID, behind its first
// byte.
func hasID(first byte) bool { return first&bitCID != 0 }

// parseHeader13 finds the first record of a datagram. Its connection ID, if it
// has one, has idLen bytes.
func parseHeader13(in []byte, idLen int) (h header13, ok bool) {
	first := in[0]
	h = header13{number: 1, end: len(in)}
	if hasID(first) {
		h.number += idLen
	}
	h.body = h.number - 1 + form(first).size()
	if first&bitLength != 0 && h.body <= len(in) {
		h.end = h.body + int(binary.BigEndian.Uint16(in[h.body-2:]))
	}
	return h, h.body <= h.end && h.end <= len(in)
}

// numberIn is where the encrypted number stands.
func (h header13) numberIn(in []byte) []byte {
	if in[0]&bitNumber16 != 0 {
		return in[h.number : h.number+2]
	}
	return in[h.number : h.number+1]
}

// putHeader13 writes the header of the next record into the first bytes of b, as many
// as its form and connection ID have. The number, which it returns, is still readable,
// as it is authenticated (RFC 9147 4).
//
// RFC 9147 4 [5]
func (w *writeEpoch) putHeader13(b []byte, f form, length int) (number []byte) {
	b[0] = unifiedBits | byte(f) | byte(w.number)&epochBits
	at := 1
	if id := w.id(); len(id) > 0 {
		b[0] |= bitCID
		at += copy(b[1:], id)
	}
	end := at + 1
	if f&bitNumber16 != 0 {
		binary.BigEndian.PutUint16(b[at:], uint16(w.next))
		end++
	} else {
		b[at] = byte(w.next)
	}
	if f&bitLength != 0 {
		binary.BigEndian.PutUint16(b[end:], uint16(length))
	}
	return b[at:end]
}

// rebuild returns the full sequence number whose low bits stand in truncated,
// one or two bytes: the one closest to the next that is expected
// (RFC 9147 4.2.2), of two the one ahead.
//
// RFC 9147 4.2.2 [2]
func rebuild(truncated []byte, next uint64) uint64 {
	low, span := uint64(truncated[0]), uint64(1<<8)
	if len(truncated) == 2 {
		low, span = low<<8|uint64(truncated[1]), 1<<16
	}
	most := next + span/2
	if most < next {
		most = math.MaxUint64
	}
	n := most - (most-low)&(span-1)
	if n > most { // below zero
		n += span
	}
	return n
}
