package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// ErrState says that what a Codec reads is not what one has written.
var ErrState = errors.New("wire: not a state that this library has written")

// A Codec writes the fields of a state, or reads them, for the library itself and
// not for a peer. Whatever has a state describes it once, as a list of fields in a
// fixed order, and that serves both ways: so the two can't disagree, and a new
// field is one line.
//
//	func (w *Window) Code(c *wire.Codec) {
//		wire.Number(c, &w.highest)
//		...
//	}
//
// What is read is copied. The first error sticks, and all that is read after it is
// zero.
type Codec struct {
	buf   []byte // written so far, or still to be read
	reads bool
	err   error
}

// NewEncoder returns a Codec that writes.
func NewEncoder() *Codec { return &Codec{} }

// NewDecoder returns a Codec that reads b.
func NewDecoder(b []byte) *Codec { return &Codec{buf: b, reads: true} }

// Reads reports whether c reads.
func (c *Codec) Reads() bool { return c.reads }

// Fail is for what is well formed and yet can't be: reading ends with ErrState. The
// format is fmt's.
func (c *Codec) Fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: %s", ErrState, fmt.Sprintf(format, args...))
	}
	c.buf = nil
}

// Err is the first error, or nil.
func (c *Codec) Err() error { return c.err }

// Finish returns what was written. Of a Codec that reads it fails if anything is
// left.
func (c *Codec) Finish() ([]byte, error) {
	if c.reads && len(c.buf) > 0 {
		c.Fail("%d bytes are left", len(c.buf))
	}
	if c.reads || c.err != nil {
		return nil, c.err
	}
	return c.buf, nil
}

// Number codes an integer that is not negative, in one byte for each seven bits.
func Number[T ~int | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64](c *Codec, v *T) {
	if !c.reads {
		c.buf = binary.AppendUvarint(c.buf, uint64(*v))
		return
	}
	got, n := binary.Uvarint(c.buf)
	if *v = T(got); n <= 0 || uint64(*v) != got || *v < 0 {
		c.Fail("a number is cut short, or too large")
		*v = 0
		return
	}
	c.buf = c.buf[n:]
}

// Flag codes a truth value.
func (c *Codec) Flag(v *bool) {
	var bit uint8
	if *v {
		bit = 1
	}
	if Number(c, &bit); bit > 1 {
		c.Fail("a flag of %d", bit)
	}
	*v = bit == 1
}

// Data codes bytes behind their length. Nil stays nil, and empty stays empty.
func (c *Codec) Data(v *[]byte) {
	if !c.reads {
		size := len(*v)
		if *v != nil {
			size++
		}
		Number(c, &size)
		c.buf = append(c.buf, *v...)
		return
	}
	var size int
	Number(c, &size)
	switch {
	case size == 0:
		*v = nil
	case size-1 > len(c.buf):
		c.Fail("%d bytes where there should be %d", len(c.buf), size-1)
		*v = nil
	default:
		*v = append([]byte{}, c.buf[:size-1]...)
		c.buf = c.buf[size-1:]
	}
}

// Text is Data for a string.
func (c *Codec) Text(v *string) {
	data := []byte(*v)
	c.Data(&data)
	*v = string(data)
}

// Time codes a point in time, to the nanosecond; a zero one stays zero.
func (c *Codec) Time(v *time.Time) {
	var nanos uint64
	if !v.IsZero() {
		nanos = uint64(v.UnixNano())
	}
	if Number(c, &nanos); c.reads {
		*v = time.Time{}
		if nanos != 0 {
			*v = time.Unix(0, int64(nanos))
		}
	}
}

// List codes a list, item by item. An item takes a byte at least.
func List[T any](c *Codec, list *[]T, item func(*T)) {
	n := len(*list)
	Number(c, &n)
	if c.reads {
		*list = nil
		if n > len(c.buf) {
			c.Fail("a list of %d in %d bytes", n, len(c.buf))
			return
		}
	}
	for i := range n {
		if c.reads {
			*list = append(*list, *new(T))
		}
		if item(&(*list)[i]); c.err != nil {
			return
		}
	}
}
