// Package replay keeps a record from being accepted twice.
package replay

import (
	"math"

	"github.com/godwit-dtls/godwit/shared/wire"
)

// Size is the width of a Window in sequence numbers. RFC 6347 4.1.2.6 asks for
// at least 32; a wide one forgives a network that reorders a burst.
//
// RFC 9147 4.5.1 [5]
const Size = 256

// A Window is the sliding anti-replay window of one epoch (RFC 9147 4.5.1,
// RFC 6347 4.1.2.6). It covers the highest number marked and the Size-1 below
// it; what is older counts as seen. The zero value is an empty window.
//
// A record is asked about before it is opened and marked after: a forged number
// must never move the window.
//
// RFC 9147 4.5.1 [1]
type Window struct {
	highest uint64
	seen    [Size / 64]uint64 // number n is bit n mod Size, for n in the window
}

// Fresh reports whether no record numbered seq was marked, as far as the window
// can tell. It changes nothing.
func (w *Window) Fresh(seq uint64) bool {
	if seq > w.highest {
		return true
	}
	word, bit := place(seq)
	return w.highest-seq < Size && w.seen[word]&bit == 0
}

// Mark notes that the record numbered seq was authenticated. A number to the
// right of the window moves it there; one to the left changes nothing.
func (w *Window) Mark(seq uint64) {
	if seq > w.highest {
		w.slide(seq)
	}
	if w.highest-seq < Size {
		word, bit := place(seq)
		w.seen[word] |= bit
	}
}

// Highest returns the highest number marked, 0 if there is none. Numbers that
// are cut short on the wire are rebuilt from it (RFC 9147 4.2.2).
func (w *Window) Highest() uint64 { return w.highest }

// Fill notes all numbers below n as marked, whether they were or not: for a window
// of which not all is known any more. It does nothing if a number from n on was.
func (w *Window) Fill(n uint64) {
	if n > w.highest {
		w.highest = n - 1
		for i := range w.seen {
			w.seen[i] = math.MaxUint64
		}
	}
}

// Code writes the window, or reads it.
func (w *Window) Code(c *wire.Codec) {
	wire.Number(c, &w.highest)
	for i := range w.seen {
		wire.Number(c, &w.seen[i])
	}
}

// slide moves the right edge up to seq. The numbers that it passes are unseen,
// and their bits still speak of numbers that fall out on the left.
func (w *Window) slide(seq uint64) {
	passed := seq - w.highest
	if passed >= Size {
		w.seen = [Size / 64]uint64{}
	} else {
		for i := range passed {
			word, bit := place(seq - i)
			w.seen[word] &^= bit
		}
	}
	w.highest = seq
}

func place(seq uint64) (word int, bit uint64) {
	return int(seq % Size / 64), 1 << (seq % 64)
}
