package fragment

import (
	"cmp"
	"errors"
	"fmt"
	"math"

	"github.com/godwit-dtls/godwit/shared/wire"
)

// Ahead is the number of messages that an Assembler holds at once: the next one
// and those that came before their turn.
const Ahead = 7

// DefaultLimit is the largest message, in bytes, of an Assembler whose Limit is 0.
const DefaultLimit = 1 << 16

var (
	// ErrMismatch says that two fragments of one message disagree on its type,
	// its length, or a byte that both carry (RFC 9147 5.5: illegal_parameter).
	ErrMismatch = errors.New("fragment: fragments of one message disagree")
	// ErrTooLong says that a message is longer than the Assembler's Limit.
	ErrTooLong = errors.New("fragment: message too long")
)

// An Outcome is what became of a fragment. A record may be acknowledged if none
// of its fragments was TooFar (RFC 9147 7).
type Outcome uint8

const (
	Kept   Outcome = iota // it is buffered, or was already
	Old                   // its message was popped before
	TooFar                // dropped: too many messages ahead, or no room for it yet
)

// An Assembler makes whole messages of fragments that come in any order, any
// cut, overlapping and repeated, and hands them out in order of message_seq.
// The zero value is ready and expects message_seq 0.
//
// Overlapping bytes are compared: a peer must not change a message when it
// sends it again, so the result never depends on the order of arrival.
//
// Memory grows with the bytes received, never with the lengths claimed. Bytes of
// an unfinished message lie in pages of 256, allocated when their first byte
// comes. The next message takes at most Limit, and all later ones together at
// most Room, both rounded up to whole pages; so later ones never keep the next
// one out. A message that comes in one piece is copied once, any other twice.
//
// RFC 9147 5.5 [4]
type Assembler struct {
	Limit int // largest message in bytes; 0 means DefaultLimit
	Room  int // for the messages after the next one, in bytes; 0 means Limit

	next uint32          // message_seq of the next message; 1<<16 after the last one
	held [Ahead]*message // message n is at n mod Ahead
}

// Start empties the Assembler and makes it expect message_seq next.
func (a *Assembler) Start(next uint16) {
	a.held = [Ahead]*message{}
	a.next = uint32(next)
}

// Next returns the message_seq of the next message, 65535 once that was popped.
func (a *Assembler) Next() uint16 { return uint16(min(a.next, math.MaxUint16)) }

// Pending reports whether anything is buffered, whole or not. At a change of
// keys nothing may be: a message doesn't span two epochs.
func (a *Assembler) Pending() bool { return a.held != [Ahead]*message{} }

// Message returns the next message in order once it is whole. Its header says
// Offset 0 and Size Length. body belongs to the Assembler: it is valid until Pop
// and must not be changed.
func (a *Assembler) Message() (h Header, body []byte, ok bool) {
	m := a.held[a.next%Ahead]
	if m == nil || !m.whole() {
		return Header{}, nil, false
	}
	return Header{Type: m.kind, Length: m.length, Seq: a.Next(), Size: m.length}, m.body, true
}

// Pop drops the message that Message returns and moves on to the one after it.
// It does nothing while that is not whole.
func (a *Assembler) Pop() {
	if _, _, ok := a.Message(); ok {
		a.held[a.next%Ahead] = nil
		a.next++
	}
}

// Add takes one fragment as Parse returned it; body is copied. It fails with
// ErrMismatch, ErrTooLong or ErrBounds, and then nothing changed.
// Fragments of messages that are popped or too far ahead are dropped unread.
//
// RFC 9147 5.2 [1]
func (a *Assembler) Add(h Header, body []byte) (Outcome, error) {
	seq := uint32(h.Seq)
	switch {
	case seq < a.next: // after message 65535, the last one, that is all
		return Old, nil
	case seq >= a.next+Ahead:
		return TooFar, nil
	case h.Length > a.limit():
		return TooFar, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLong, h.Length, a.limit())
	case h.Size != len(body):
		return TooFar, fmt.Errorf("%w: %d bytes where its header says %d", ErrBounds, len(body), h.Size)
	}
	if err := h.checkBounds(); err != nil {
		return TooFar, err
	}
	return a.hold(seq, h, body)
}

// hold buffers a fragment of one of the Ahead messages, if there is room.
//
// RFC 9147 5.2 [2], 5.5 [3]
func (a *Assembler) hold(seq uint32, h Header, body []byte) (Outcome, error) {
	m := a.held[seq%Ahead]
	if m == nil {
		if h.Size == 0 && h.Length > 0 {
			return Kept, nil // it carries nothing that could be kept
		}
		m = &message{kind: h.Type, length: h.Length, missing: h.Length}
	}
	if err := m.compare(h, body); err != nil {
		return TooFar, err
	}
	if seq > a.next && a.later()+m.growth(h.Offset, body) > roundUp(cmp.Or(a.Room, a.limit())) {
		return TooFar, nil
	}
	m.write(h.Offset, body)
	a.held[seq%Ahead] = m
	return Kept, nil
}

func (a *Assembler) limit() int { return cmp.Or(a.Limit, DefaultLimit) }

// later returns the bytes taken by the messages after the next one.
func (a *Assembler) later() (size int) {
	for i, m := range a.held {
		if m != nil && uint32(i) != a.next%Ahead {
			size += len(m.body) + pageSize*len(m.pages)
		}
	}
	return size
}

// Code writes what is buffered, or reads it: the next message_seq, and fragments as
// they stand on the wire, with whose bytes another Assembler has what this one has.
func (a *Assembler) Code(c *wire.Codec) {
	var buffered []byte
	if !c.Reads() {
		buffered = a.appendFragments(nil)
	}
	wire.Number(c, &a.next)
	c.Data(&buffered)
	if !c.Reads() {
		return
	}
	if a.next > 1<<16 {
		c.Fail("message %d is next", a.next)
		a.next = 0
	}
	a.held = [Ahead]*message{}
	for len(buffered) > 0 && c.Err() == nil {
		h, body, rest, err := Parse(buffered)
		if err == nil {
			_, err = a.Add(h, body)
		}
		if err != nil {
			c.Fail("%v", err)
		}
		buffered = rest
	}
}

// appendFragments appends fragments that have every byte that is buffered.
func (a *Assembler) appendFragments(b []byte) []byte {
	for seq := a.next; seq < a.next+Ahead; seq++ {
		m := a.held[seq%Ahead]
		if m == nil {
			continue
		}
		for from, body := range m.runs() {
			h := Header{Type: m.kind, Length: m.length, Seq: uint16(seq), Offset: from, Size: len(body)}
			b = append(h.Append(b), body...)
		}
	}
	return b
}
