package dtls

import (
	"encoding/binary"

	"github.com/godwit-dtls/godwit/shared/protocol"
)

// The record header of DTLS 1.2, which is also that of every plaintext record
// (RFC 6347 4.1, RFC 9147 4):
//
//	u8 type | u16 version | u16 epoch | u48 sequence_number | u16 length
//
// With a connection ID it has another type, tls12_cid, and the ID before the
// length (RFC 9146 4).
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
	rest, ok = h.parse(in, 0)
	return h, rest, ok
}

// parse takes the first record, with a connection ID of idLen bytes, off a datagram.
func (h *header12) parse(in []byte, idLen int) (rest []byte, ok bool) {
	size := headerSize12 + idLen
	if len(in) < size {
		return nil, false
	}
	end := size + int(binary.BigEndian.Uint16(in[size-2:]))
	if len(in) < end {
		return nil, false
	}
	number := binary.BigEndian.Uint64(in[3:])
	h.kind = protocol.ContentType(in[0])
	h.version = protocol.Version(binary.BigEndian.Uint16(in[1:]))
	h.number = protocol.RecordNumber{Epoch: number >> 48, Sequence: number & maxSequence12}
	h.body = in[size:end]
	return in[end:], true
}

// idAt12 is where the connection ID stands in a header.
const idAt12 = headerSize12 - 2

// putHeader12 writes a header into the first 13 bytes of b. The same bytes,
// with the length of the plaintext, are what an AEAD authenticates, in another
// order: see additional12.
func putHeader12(b []byte, kind protocol.ContentType, v protocol.Version, n protocol.RecordNumber, length int) {
	putIdentified12(b, kind, v, n, nil, length)
}

// putIdentified12 writes a header with a connection ID, if there is one.
func putIdentified12(b []byte, kind protocol.ContentType, v protocol.Version, n protocol.RecordNumber, id []byte, length int) {
	b[0] = byte(kind)
	binary.BigEndian.PutUint16(b[1:], uint16(v))
	binary.BigEndian.PutUint64(b[3:], number12(n))
	binary.BigEndian.PutUint16(b[idAt12+copy(b[idAt12:], id):], uint16(length))
}

// number12 is epoch and sequence number as one 64-bit number, which 1.2 uses
// for nonce and additional data (RFC 6347 4.1.2.1).
func number12(n protocol.RecordNumber) uint64 { return n.Epoch<<48 | n.Sequence }

// appendAdditional12 appends the additional data of 1.2 (RFC 5246 6.2.3.3):
//
//	u64 epoch and sequence number | u8 type | u16 version | u16 plaintext length
//
// With a connection ID it is (RFC 9146 5)
//
//	u64 all ones | u8 tls12_cid | u8 length of the ID | u8 tls12_cid | u16 version
//	| u64 epoch and sequence number | ID | u16 length of DTLSInnerPlaintext
//
// RFC 9146 3 [7, 8]
func appendAdditional12(b []byte, kind protocol.ContentType, n protocol.RecordNumber, id []byte, length int) []byte {
	const version = uint16(protocol.VersionDTLS12)
	if len(id) == 0 {
		b = append(binary.BigEndian.AppendUint64(b, number12(n)), byte(kind))
		b = binary.BigEndian.AppendUint16(b, version)
		return binary.BigEndian.AppendUint16(b, uint16(length))
	}
	b = binary.BigEndian.AppendUint64(b, ^uint64(0))
	b = append(b, byte(protocol.ConnectionID), byte(len(id)), byte(protocol.ConnectionID))
	b = binary.BigEndian.AppendUint16(b, version)
	b = binary.BigEndian.AppendUint64(b, number12(n))
	return binary.BigEndian.AppendUint16(append(b, id...), uint16(length))
}
