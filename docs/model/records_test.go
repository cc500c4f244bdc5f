package model

import (
	"bytes"
	"encoding/binary"

	"github.com/godwit-dtls/godwit/fragment"
	"github.com/godwit-dtls/godwit/shared/keys"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/record"
	"github.com/godwit-dtls/godwit/shared/suite"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// maxDatagram is more than any flight needs, in bytes.
const maxDatagram = 8000

// The records of all four protocols, as their peers write and read them: one that has
// keys may use them whenever it likes.

// A link protects what goes to the Engine, and opens what comes from it.
type link struct {
	transport protocol.Transport
	is13      bool
	writes    map[uint64]*half // by level
	reads     map[uint64]*half
}

// A half is one direction under one key, or in the clear.
type half struct {
	sealer *record.Sealer
	opener *record.Opener
	mask   *record.Mask
	next   uint64 // record number
}

func newLink(m mode) *link {
	return &link{m.transport(), m.version.Is13(), map[uint64]*half{0: {}}, map[uint64]*half{0: {}}}
}

// writeUnder and readUnder add a level.
func (l *link) writeUnder(level uint64, s *suite.Suite, k keys.RecordKey) {
	sealer, err := record.NewSealer(s, k)
	check(err)
	l.writes[level] = &half{sealer: sealer, mask: l.newMask(s, k)}
}

func (l *link) readUnder(level uint64, s *suite.Suite, k keys.RecordKey) {
	opener, err := record.NewOpener(s, k)
	check(err)
	l.reads[level] = &half{opener: opener, mask: l.newMask(s, k)}
}

func (l *link) newMask(s *suite.Suite, k keys.RecordKey) *record.Mask {
	if !l.is13 || l.transport == protocol.Stream {
		return nil
	}
	mask, err := record.NewMask(s, k.Number)
	check(err)
	return mask
}

// newest is the highest level that the peer can write under.
func (l *link) newest() (level uint64) {
	for n := range l.writes {
		level = max(level, n)
	}
	return level
}

// seal makes one record.
func (l *link) seal(level uint64, kind protocol.ContentType, content []byte) []byte {
	h := l.writes[level]
	number := h.next
	h.next++
	switch {
	case h.sealer == nil:
		return append(l.header(kind, level, number, len(content)), content...)
	case !l.is13:
		out := l.header(kind, level, number, h.sealer.SealedLen(len(content)))
		return h.sealer.Seal(out, content, l.additional12(kind, level, number, len(content)), l.number12(level, number))
	}
	inner := append(bytes.Clone(content), byte(kind))
	out := l.header13(level, number, h.sealer.SealedLen(len(inner)))
	start := len(out)
	out = h.sealer.Seal(out, inner, bytes.Clone(out), number)
	if h.mask != nil {
		h.mask.Apply(out[1:3], out[start:])
	}
	return out
}

// header is that of 1.2 and of what goes in the clear (RFC 6347 4.1, RFC 5246 6.2.1).
func (l *link) header(kind protocol.ContentType, level, number uint64, length int) []byte {
	var b wire.Builder
	b.Uint8(uint8(kind))
	b.Uint16(uint16(protocol.VersionTLS12.Over(l.transport)))
	if l.transport == protocol.Datagram {
		b.Uint64(l.number12(level, number))
	}
	b.Uint16(uint16(length))
	return built(&b)
}

func (l *link) number12(level, number uint64) uint64 {
	if l.transport == protocol.Datagram {
		return level<<48 | number
	}
	return number
}

// RFC 5246 6.2.3.3, RFC 6347 4.1.2.1
func (l *link) additional12(kind protocol.ContentType, level, number uint64, length int) []byte {
	var b wire.Builder
	b.Uint64(l.number12(level, number))
	b.Uint8(uint8(kind))
	b.Uint16(uint16(protocol.VersionTLS12.Over(l.transport)))
	b.Uint16(uint16(length))
	return built(&b)
}

// RFC 9846 5.2, RFC 9147 4
func (l *link) header13(level, number uint64, length int) []byte {
	if l.transport == protocol.Stream {
		return l.header(protocol.ApplicationData, level, number, length)
	}
	const withNumber16AndLength = 0b0010_1100
	var b wire.Builder
	b.Uint8(withNumber16AndLength | uint8(level&3))
	b.Uint16(uint16(number))
	b.Uint16(uint16(length))
	return built(&b)
}

// An opened record.
type opened struct {
	kind    protocol.ContentType
	number  protocol.RecordNumber // over a stream its epoch is the level
	content []byte
}

// open takes a record off what the Engine has sent.
func (l *link) open(in []byte) (o opened, rest []byte) {
	if l.transport == protocol.Datagram && in[0]&0b1110_0000 == 0b0010_0000 {
		return l.openUnified(in)
	}
	headerSize := 5
	if l.transport == protocol.Datagram {
		headerSize = 13
		number := binary.BigEndian.Uint64(in[3:])
		o.number = protocol.RecordNumber{Epoch: number >> 48, Sequence: number & (1<<48 - 1)}
	}
	o.kind = protocol.ContentType(in[0])
	size := headerSize + int(binary.BigEndian.Uint16(in[headerSize-2:]))
	body, rest := in[headerSize:size], in[size:]
	if l.transport == protocol.Stream {
		return l.openStream(o, in[:headerSize], body), rest
	}
	if o.content = body; o.number.Epoch > 0 {
		h := l.reads[o.number.Epoch]
		additional := l.additional12(o.kind, o.number.Epoch, o.number.Sequence, h.opener.PlaintextLen(len(body)))
		o.content = opens(h.opener.Open(bytes.Clone(body), additional, l.number12(o.number.Epoch, o.number.Sequence)))
	}
	return o, rest
}

// openUnified opens a record of DTLS 1.3.
func (l *link) openUnified(in []byte) (o opened, rest []byte) {
	const headerSize = 5
	size := headerSize + int(binary.BigEndian.Uint16(in[3:]))
	header, body, rest := bytes.Clone(in[:headerSize]), bytes.Clone(in[headerSize:size]), in[size:]
	for level, h := range l.reads {
		if h.opener == nil || level&3 != uint64(in[0]&3) {
			continue
		}
		h.mask.Apply(header[1:3], body)
		o.number = protocol.RecordNumber{Epoch: level, Sequence: uint64(binary.BigEndian.Uint16(header[1:]))}
		return l.unwrap(o, opens(h.opener.Open(body, header, o.number.Sequence))), rest
	}
	panic("a record under keys that nobody has")
}

// openStream finds the keys that open a record of a stream, which doesn't say which.
func (l *link) openStream(o opened, header, body []byte) opened {
	for level, h := range l.reads {
		additional := header
		switch {
		case h.opener == nil:
			continue
		case !l.is13:
			additional = l.additional12(o.kind, level, h.next, h.opener.PlaintextLen(len(body)))
		}
		content, err := h.opener.Open(bytes.Clone(body), additional, h.next)
		if err != nil {
			continue
		}
		h.next++
		o.number.Epoch = level
		if o.content = content; l.is13 {
			return l.unwrap(o, content)
		}
		return o
	}
	o.content = body
	return o
}

// unwrap takes the content type of 1.3 off.
func (l *link) unwrap(o opened, inner []byte) opened {
	last := len(inner) - 1
	o.kind, o.content = protocol.ContentType(inner[last]), inner[:last]
	return o
}

// --- Handshake messages

// frame puts the header before a message.
func (l *link) frame(t protocol.HandshakeType, seq uint16, body []byte) []byte {
	if l.transport == protocol.Datagram {
		h := fragment.Header{Type: uint8(t), Length: len(body), Seq: seq, Size: len(body)}
		return append(h.Append(nil), body...)
	}
	return append([]byte{byte(t), byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}, body...)
}

// unframe takes the first message off the content of a record.
func (l *link) unframe(content []byte) (t protocol.HandshakeType, whole, rest []byte) {
	size := 4 + int(binary.BigEndian.Uint32(content)&0xffffff)
	if l.transport == protocol.Datagram {
		size += fragment.HeaderSize - 4
	}
	return protocol.HandshakeType(content[0]), content[:size], content[size:]
}

// transcribed is a message as its transcript has it (RFC 9147 5.2, RFC 6347 4.2.6).
func (l *link) transcribed(whole []byte) []byte {
	if l.transport == protocol.Datagram && l.is13 {
		return append(bytes.Clone(whole[:4]), whole[fragment.HeaderSize:]...)
	}
	return whole
}

// body is a message without its header.
func (l *link) body(whole []byte) []byte {
	if l.transport == protocol.Datagram {
		return whole[fragment.HeaderSize:]
	}
	return whole[4:]
}

func opens(content []byte, err error) []byte {
	check(err)
	return content
}

func built(b *wire.Builder) []byte {
	p, err := b.Bytes()
	check(err)
	return p
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
