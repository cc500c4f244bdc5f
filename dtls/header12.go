package dtls

import (
	"encoding/binary"

	"github.com/godwit-dtls/godwit/shared/protocol"
)

// The record header of DTLS 1.2, which is also that of every plaintext record
// (RFC 6347 4.1, RFC 9147 4):
//
//	u8 type | u16 version | u16 epoch | u48 sequence_number | u16 length
const headerSize12 = 13

// maxSequence12 is the last sequence number of an epoch. 1.3 has 64 bits for
// it, and would change its keys long before that.
const maxSequence12 = 1<<48 - 1

// A header12 is a parsed header; body has as many bytes as it says.
type header12 struct {
	kind    protocol.ContentType
	version protocol.Version
	number  protocol.RecordNumber
	body    []byte
}

// parseHeader12 takes the first record off a datagram.
func parseHeader12(in []byte) (h header12, rest []byte, ok bool) {
	if len(in) < headerSize12 {
		return h, nil, false
	}
	length := int(binary.BigEndian.Uint16(in[11:]))
	if len(in)-headerSize12 < length {
		return h, nil, false
	}
	number := binary.BigEndian.Uint64(in[3:])
	h = header12{
		kind:    protocol.ContentType(in[0]),
		version: protocol.Version(binary.BigEndian.Uint16(in[1:])),
		number:  protocol.RecordNumber{Epoch: number >> 48, Sequence: number & maxSequence12},
		body:    in[headerSize12 : headerSize12+length],
	}
	return h, in[headerSize12+length:], true
}

// putHeader12 writes a header into the first 13 bytes of b. The same bytes,
// with the length of the plaintext, are what an AEAD authenticates, in another
// order: see additional12.
func putHeader12(b []byte, kind protocol.ContentType, v protocol.Version, n protocol.RecordNumber, length int) {
	b[0] = byte(kind)
	binary.BigEndian.PutUint16(b[1:], uint16(v))
	binary.BigEndian.PutUint64(b[3:], number12(n))
	binary.BigEndian.PutUint16(b[11:], uint16(length))
}

// number12 is epoch and sequence number as one 64-bit number, which 1.2 uses
// for nonce and additional data (RFC 6347 4.1.2.1).
func number12(n protocol.RecordNumber) uint64 { return n.Epoch<<48 | n.Sequence }

// additional12 writes the additional data of 1.2 (RFC 5246 6.2.3.3):
//
//	u64 epoch and sequence number | u8 type | u16 version | u16 plaintext length
func additional12(b *[headerSize12]byte, kind protocol.ContentType, n protocol.RecordNumber, length int) []byte {
	binary.BigEndian.PutUint64(b[:], number12(n))
	b[8] = byte(kind)
	binary.BigEndian.PutUint16(b[9:], uint16(protocol.VersionDTLS12))
	binary.BigEndian.PutUint16(b[11:], uint16(length))
	return b[:]
}
