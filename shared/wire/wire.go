// Package wire writes the presentation language of TLS (RFC 9846 3): big-endian
// integers and vectors behind a length. It is read with cryptobyte.String.
//
// Packages below shared carry no compatibility promise of their own.
package wire

import (
	"encoding/binary"
	"errors"
)

// ErrTooLong says that a vector did not fit behind its length prefix.
var ErrTooLong = errors.New("wire: vector longer than its length prefix can say")

// A Builder appends to a buffer. The zero value is ready; it allocates only to
// grow. A vector that overflows its prefix makes Bytes fail.
type Builder struct {
	buf     []byte
	tooLong bool
}

// NewBuilder returns a Builder that appends to buf.
func NewBuilder(buf []byte) *Builder { return &Builder{buf: buf} }

// Bytes returns all that was appended, or ErrTooLong.
func (b *Builder) Bytes() ([]byte, error) {
	if b.tooLong {
		return nil, ErrTooLong
	}
	return b.buf, nil
}

// Len is the number of bytes in the buffer so far.
func (b *Builder) Len() int { return len(b.buf) }

// Truncate drops all but the first n bytes of the buffer.
func (b *Builder) Truncate(n int) { b.buf = b.buf[:n] }

func (b *Builder) Uint8(v uint8)   { b.buf = append(b.buf, v) }
func (b *Builder) Uint16(v uint16) { b.buf = binary.BigEndian.AppendUint16(b.buf, v) }
func (b *Builder) Uint24(v uint32) { b.buf = append(b.buf, byte(v>>16), byte(v>>8), byte(v)) }
func (b *Builder) Uint32(v uint32) { b.buf = binary.BigEndian.AppendUint32(b.buf, v) }
func (b *Builder) Uint64(v uint64) { b.buf = binary.BigEndian.AppendUint64(b.buf, v) }

// Raw appends p as it is.
func (b *Builder) Raw(p []byte) { b.buf = append(b.buf, p...) }

// Vector8, Vector16 and Vector24 append what body appends, behind its length
// in 1, 2 or 3 bytes.
func (b *Builder) Vector8(body func())  { b.vector(1, body) }
func (b *Builder) Vector16(body func()) { b.vector(2, body) }
func (b *Builder) Vector24(body func()) { b.vector(3, body) }

// Bytes8, Bytes16 and Bytes24 append p behind its length in 1, 2 or 3 bytes.
func (b *Builder) Bytes8(p []byte)  { b.Vector8(func() { b.Raw(p) }) }
func (b *Builder) Bytes16(p []byte) { b.Vector16(func() { b.Raw(p) }) }
func (b *Builder) Bytes24(p []byte) { b.Vector24(func() { b.Raw(p) }) }

func (b *Builder) vector(prefix int, body func()) {
	at := len(b.buf)
	b.buf = append(b.buf, make([]byte, prefix)...)
	body()
	n := len(b.buf) - at - prefix
	if n >= 1<<(8*prefix) {
		b.tooLong = true
		return
	}
	for i := range prefix {
		b.buf[at+i] = byte(n >> (8 * (prefix - 1 - i)))
	}
}
