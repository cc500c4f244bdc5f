// Package retransmit holds what makes a DTLS handshake survive loss: the flight
// that is sent until the peer has it, the timer, and the acknowledgements
// (RFC 9147 5.8 and 7, RFC 6347 4.2.4). It has no clock and no I/O.
package retransmit

import (
	"slices"

	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// headerSize is the length of the handshake header that every message of a
// Flight starts with (RFC 9147 5.2).
const headerSize = 12

// Remembered is the number of parts whose record numbers a Flight remembers. An
// acknowledgement of what was forgotten counts for nothing: it is sent once more.
// One record holds a few parts, so this is some passes over a usual flight.
const Remembered = 128

// A Part is a range of one message of a Flight, to be sent as one fragment.
type Part struct {
	Epoch    uint64
	Message  []byte // whole: the 12-byte handshake header, then the body
	Index    int    // of the message in the Flight
	From, To int    // range of the body; both 0 for a message without one
}

// A Flight holds the messages of our last flight until the peer has them. It
// stores messages, never records: what is sent again is cut anew from what is
// not acknowledged, for the MTU of the day, and sealed anew. The zero value is
// an empty flight.
//
// A pass goes once over all that is unacknowledged: Next gives out part after
// part, Sent notes the record that each went out in. Messages added meanwhile
// are at its end; Rewind begins another.
//
// RFC 9147 5.5 [5]
type Flight struct {
	messages []message
	index    int  // the pass stands in this message,
	offset   int  // at this byte of its body
	begun    bool // the pass has given something out
	sent     []transmission
}

type message struct {
	epoch   uint64
	bytes   []byte
	missing []span // what of the body the peer may not have, in order
}

// A span is a range of bytes of a body. A message without a body has one span
// of no bytes, missing until it is acknowledged.
type span struct{ from, to int }

// A transmission says that a part went out in a record.
type transmission struct {
	number protocol.RecordNumber
	index  int
	span
}

// Add appends a message to the flight: its 12-byte handshake header, with the
// whole message as the one fragment, and its body. The Flight keeps msg, which
// must not be changed any more.
func (f *Flight) Add(msg []byte, epoch uint64) {
	f.messages = append(f.messages, message{epoch, msg, []span{{0, len(msg) - headerSize}}})
}

// Clear empties the flight, and forgets all record numbers and releases memory.
func (f *Flight) Clear() { *f = Flight{} }

// Empty reports whether nothing was added since the last Clear.
func (f *Flight) Empty() bool { return len(f.messages) == 0 }

// Done reports whether every message is acknowledged; an empty flight is done.
func (f *Flight) Done() bool {
	return !slices.ContainsFunc(f.messages, func(m message) bool { return len(m.missing) > 0 })
}

// Level is the epoch of the first message, 0 if there is none.
func (f *Flight) Level() uint64 {
	if f.Empty() {
		return 0
	}
	return f.messages[0].epoch
}

// Rewind begins another pass, at the first byte that is unacknowledged.
func (f *Flight) Rewind() { f.index, f.offset, f.begun = 0, 0, false }

// Begun reports whether this pass has given out anything.
func (f *Flight) Begun() bool { return f.begun }

// Peek returns the epoch of the next part of this pass, if there is one.
func (f *Flight) Peek() (epoch uint64, ok bool) {
	if _, ok := f.upcoming(); !ok {
		return 0, false
	}
	return f.messages[f.index].epoch, true
}

// Next moves the pass on and returns the next unacknowledged range, with at most
// max bytes of body. It returns false at the end of the pass, or when max has no
// room for a byte (a message without body needs none, but max is not negative).
//
// RFC 9147 5.5 [1]
func (f *Flight) Next(max int) (Part, bool) {
	s, ok := f.upcoming()
	if !ok || max < min(1, s.to-s.from) {
		return Part{}, false
	}
	to := s.from + min(max, s.to-s.from)
	m := f.messages[f.index]
	p := Part{Epoch: m.epoch, Message: m.bytes, Index: f.index, From: s.from, To: to}
	f.begun = true
	if f.offset = to; to == len(m.bytes)-headerSize {
		f.index, f.offset = f.index+1, 0
	}
	return p, true
}

// upcoming returns the first missing span from where the pass stands, which it
// moves into the message of that span.
func (f *Flight) upcoming() (span, bool) {
	for ; f.index < len(f.messages); f.index, f.offset = f.index+1, 0 {
		for _, s := range f.messages[f.index].missing {
			if s.to > f.offset || s.from == s.to {
				return span{max(s.from, f.offset), s.to}, true
			}
		}
	}
	return span{}, false
}

// Sent notes that p, which Next returned since the last Clear, went out in the
// record n. Several parts may share a record.
func (f *Flight) Sent(n protocol.RecordNumber, p Part) {
	if len(f.sent) == Remembered {
		f.sent = slices.Delete(f.sent, 0, 1)
	}
	f.sent = append(f.sent, transmission{n, p.Index, span{p.From, p.To}})
}

// Acked takes the record numbers of an ACK (RFC 9147 7.2) and reports whether
// the peer has something that it was not known to have. A number counts however
// often its bytes were sent again since; one that is unknown, because it was
// never used, is forgotten or of an earlier flight, is ignored.
//
// RFC 9147 5.8.1 [1], 7.2 [4]
func (f *Flight) Acked(ns []protocol.RecordNumber) (progress bool) {
	f.sent = slices.DeleteFunc(f.sent, func(t transmission) bool {
		if !slices.Contains(ns, t.number) {
			return false
		}
		if f.messages[t.index].acknowledge(t.span) {
			progress = true
		}
		return true
	})
	return progress
}

// acknowledge takes s out of what is missing and reports whether any of it was.
func (m *message) acknowledge(s span) (progress bool) {
	var missing []span
	for _, old := range m.missing {
		if old.from < s.from {
			missing = append(missing, span{old.from, min(old.to, s.from)})
		}
		if old.to > s.to {
			missing = append(missing, span{max(old.from, s.to), old.to})
		}
	}
	progress = !slices.Equal(missing, m.missing)
	m.missing = missing
	return progress
}

// Code writes the flight, with how far its pass has come and what the peer has of
// it, or reads it.
func (f *Flight) Code(c *wire.Codec) {
	wire.List(c, &f.messages, func(m *message) {
		wire.Number(c, &m.epoch)
		c.Data(&m.bytes)
		if len(m.bytes) < headerSize {
			c.Fail("a message of %d bytes", len(m.bytes))
			return
		}
		next := 0
		wire.List(c, &m.missing, func(s *span) {
			s.code(c, m)
			if s.from < next || s.from == s.to && len(m.bytes) > headerSize { // no pass ends on such
				c.Fail("bytes %d to %d are out of order", s.from, s.to)
			}
			next = s.to
		})
	})
	wire.Number(c, &f.index)
	wire.Number(c, &f.offset)
	c.Flag(&f.begun)
	if f.index > len(f.messages) || f.index == len(f.messages) && f.offset > 0 ||
		f.index < len(f.messages) && f.offset > len(f.messages[f.index].bytes)-headerSize {
		c.Fail("a pass at byte %d of message %d", f.offset, f.index)
	}
	wire.List(c, &f.sent, func(t *transmission) {
		wire.Number(c, &t.number.Epoch)
		wire.Number(c, &t.number.Sequence)
		if wire.Number(c, &t.index); t.index >= len(f.messages) {
			c.Fail("a part of message %d of %d", t.index, len(f.messages))
			return
		}
		t.code(c, &f.messages[t.index])
	})
	if c.Err() != nil {
		f.Clear()
	}
}

func (s *span) code(c *wire.Codec, m *message) {
	wire.Number(c, &s.from)
	wire.Number(c, &s.to)
	if s.from > s.to || s.to > len(m.bytes)-headerSize {
		c.Fail("bytes %d to %d of %d", s.from, s.to, len(m.bytes)-headerSize)
	}
}
