package message

import (
	"encoding/binary"
	"iter"
)

// Uint16s is a list of big-endian 16-bit values as it stands on the wire, two
// bytes each: cipher suites, groups, signature schemes, versions. It is a view.
type Uint16s []byte

// Len is the number of values.
func (u Uint16s) Len() int { return len(u) / 2 }

// At returns value i, counted from 0; it panics if there is none.
func (u Uint16s) At(i int) uint16 { return binary.BigEndian.Uint16(u[2*i:]) }

// All yields the values in order.
func (u Uint16s) All() iter.Seq[uint16] {
	return func(yield func(uint16) bool) {
		for i := range u.Len() {
			if !yield(u.At(i)) {
				return
			}
		}
	}
}

// Contains reports whether v is in the list.
func (u Uint16s) Contains(v uint16) bool {
	for i := range u.Len() {
		if u.At(i) == v {
			return true
		}
	}
	return false
}

// MakeUint16s returns vs as they go on the wire.
func MakeUint16s[T ~uint16](vs []T) Uint16s {
	return AppendUint16s(make(Uint16s, 0, 2*len(vs)), vs)
}

// AppendUint16s appends vs to u, which must not be a view into a message.
func AppendUint16s[T ~uint16](u Uint16s, vs []T) Uint16s {
	for _, v := range vs {
		u = binary.BigEndian.AppendUint16(u, uint16(v))
	}
	return u
}

// Collect returns the values of u as a slice of its own.
func Collect[T ~uint16](u Uint16s) []T {
	vs := make([]T, u.Len())
	for i := range vs {
		vs[i] = T(u.At(i))
	}
	return vs
}
