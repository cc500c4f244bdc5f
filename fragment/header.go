// Package fragment cuts handshake messages into fragments that fit datagrams
// and puts them together again (RFC 9147 5.2 and 5.5, RFC 6347 4.2.2 and 4.2.3).
package fragment

import (
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"

	"github.com/godwit-dtls/godwit/shared/wire"
)

// HeaderSize is the length in bytes of the header before every fragment.
const HeaderSize = 12

var (
	// ErrTruncated says that a payload ended inside a fragment.
	ErrTruncated = errors.New("fragment: cut short")
	// ErrBounds says that a fragment reaches beyond the end of its message.
	ErrBounds = errors.New("fragment: beyond the end of its message")
)

// A Header stands before each fragment of a handshake message (RFC 9147 5.2):
//
//	u8   msg_type         Type
//	u24  length           Length, of the whole message's body in bytes
//	u16  message_seq      Seq
//	u24  fragment_offset  Offset of this fragment in the body
//	u24  fragment_length  Size of this fragment in bytes
type Header struct {
	Type         uint8
	Length       int
	Seq          uint16
	Offset, Size int
}

// Parse reads the first fragment of a record's payload. body is its Size bytes,
// rest is what follows it; both share b's memory. It fails with ErrTruncated or
// ErrBounds.
func Parse(b []byte) (h Header, body, rest []byte, err error) {
	var length, offset, size uint32
	s := cryptobyte.String(b)
	if !s.ReadUint8(&h.Type) || !s.ReadUint24(&length) || !s.ReadUint16(&h.Seq) ||
		!s.ReadUint24(&offset) || !s.ReadUint24(&size) {
		return Header{}, nil, nil, fmt.Errorf("%w: %d bytes, a header has %d", ErrTruncated, len(b), HeaderSize)
	}
	h.Length, h.Offset, h.Size = int(length), int(offset), int(size)
	if err := h.checkBounds(); err != nil {
		return Header{}, nil, nil, err
	}
	if !s.ReadBytes(&body, h.Size) {
		return Header{}, nil, nil, fmt.Errorf("%w: %d bytes of a fragment of %d", ErrTruncated, len(s), h.Size)
	}
	return h, body, s, nil
}

func (h Header) checkBounds() error {
	if h.Offset+h.Size > h.Length {
		return fmt.Errorf("%w: %d bytes at %d in %d", ErrBounds, h.Size, h.Offset, h.Length)
	}
	return nil
}

// Append appends the HeaderSize bytes of h to b. Length, Offset and Size are
// below 2^24.
func (h Header) Append(b []byte) []byte {
	w := wire.NewBuilder(b)
	w.Uint8(h.Type)
	w.Uint24(uint32(h.Length))
	w.Uint16(h.Seq)
	w.Uint24(uint32(h.Offset))
	w.Uint24(uint32(h.Size))
	b, _ = w.Bytes() // fails for vectors only
	return b
}

// Whole reports whether the fragment is a whole message.
func (h Header) Whole() bool { return h.Offset == 0 && h.Size == h.Length }

// Split returns the fragment of the message body that starts at from, with at
// most max bytes: its header, made from h's Type and Seq, and its part of body.
// from is at most len(body), max is not negative.
func Split(h Header, body []byte, from, max int) (Header, []byte) {
	h.Length = len(body)
	h.Offset = from
	h.Size = min(max, len(body)-from)
	return h, body[from : from+h.Size]
}
