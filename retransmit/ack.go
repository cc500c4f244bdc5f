package retransmit

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// MaxReceived is the number of record numbers that a Received holds.
const MaxReceived = 32

// recordNumberSize is the length of a record number in an ACK: u64 epoch, u64
// sequence number (RFC 9147 4).
const recordNumberSize = 16

// ErrACK says that an ACK can't be read: decode_error.
var ErrACK = errors.New("retransmit: malformed ACK")

// Received holds the numbers of the records to acknowledge, the newest
// MaxReceived of them. The zero value is empty.
//
// An ACK (RFC 9147 7) is a list behind its length in bytes, in ascending order:
//
//	u16  length
//	     u64 epoch, u64 sequence_number    length/16 times
type Received struct {
	numbers []protocol.RecordNumber // in the order of arrival
}

// Add notes that record n arrived and was processed or buffered. It forgets the
// oldest one when there are too many.
func (r *Received) Add(n protocol.RecordNumber) {
	if slices.Contains(r.numbers, n) {
		return
	}
	if len(r.numbers) == MaxReceived {
		r.numbers = slices.Delete(r.numbers, 0, 1)
	}
	r.numbers = append(r.numbers, n)
}

// Len returns how many record numbers are held.
func (r *Received) Len() int { return len(r.numbers) }

// Clear forgets them all and releases their memory.
func (r *Received) Clear() { r.numbers = nil }

// Code writes the numbers, or reads them.
func (r *Received) Code(c *wire.Codec) {
	wire.List(c, &r.numbers, func(n *protocol.RecordNumber) {
		wire.Number(c, &n.Epoch)
		wire.Number(c, &n.Sequence)
	})
	if len(r.numbers) > MaxReceived {
		c.Fail("%d record numbers, more than %d", len(r.numbers), MaxReceived)
		r.Clear()
	}
}

// Append appends an ACK of all that is held to b: 2 bytes and 16 for each.
func (r *Received) Append(b []byte) []byte { return r.AppendMax(b, MaxReceived) }

// AppendMax appends an ACK of at most n record numbers to b, for where there is
// no room for all: the newest ones (RFC 9147 7.1).
//
// RFC 9147 7.1 [6]
func (r *Received) AppendMax(b []byte, n int) []byte {
	n = max(0, min(n, len(r.numbers)))
	var sorted [MaxReceived]protocol.RecordNumber
	newest := sorted[:copy(sorted[:], r.numbers[len(r.numbers)-n:])]
	slices.SortFunc(newest, func(x, y protocol.RecordNumber) int {
		return cmp.Or(cmp.Compare(x.Epoch, y.Epoch), cmp.Compare(x.Sequence, y.Sequence))
	})
	b = binary.BigEndian.AppendUint16(b, uint16(len(newest)*recordNumberSize))
	for _, number := range newest {
		b = binary.BigEndian.AppendUint64(b, number.Epoch)
		b = binary.BigEndian.AppendUint64(b, number.Sequence)
	}
	return b
}

// ParseACK appends the record numbers of an ACK to dst, in the order in which
// the peer wrote them. It fails with ErrACK if body is anything but a list with
// its length before it; dst is returned as it was.
func ParseACK(body []byte, dst []protocol.RecordNumber) ([]protocol.RecordNumber, error) {
	if len(body) < 2 {
		return dst, fmt.Errorf("%w: %d bytes, the length alone has 2", ErrACK, len(body))
	}
	length, list := int(binary.BigEndian.Uint16(body)), body[2:]
	if length != len(list) {
		return dst, fmt.Errorf("%w: %d bytes after a length of %d", ErrACK, len(list), length)
	}
	if length%recordNumberSize != 0 {
		return dst, fmt.Errorf("%w: %d bytes of record numbers of %d", ErrACK, length, recordNumberSize)
	}
	for number := range slices.Chunk(list, recordNumberSize) {
		dst = append(dst, protocol.RecordNumber{
			Epoch:    binary.BigEndian.Uint64(number),
			Sequence: binary.BigEndian.Uint64(number[8:]),
		})
	}
	return dst, nil
}
