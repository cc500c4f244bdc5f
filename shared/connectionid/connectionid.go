// Package connectionid makes connection IDs: what a peer puts on its records so
// that they find their association wherever they come from (RFC 9146, RFC 9147
// 9).
//
// Packages below shared carry no compatibility promise of their own; what dtls
// aliases from them is covered by its own.
package connectionid

import "crypto/rand"

// MaxLen is the most bytes that a connection ID can have (RFC 9146 3).
const MaxLen = 255

// A Generator makes the connection IDs of one Listener, or of several behind one
// address. A record says nowhere how long the ID on it is, so whoever made it
// must know (RFC 9146 3). Its methods may be called from several goroutines at
// once, and are called with locks held: they return quickly.
type Generator interface {
	// New returns an ID of up to 255 bytes, each time the same number or none, or
	// one that Len can tell. Where it has been in use for long, it must not be
	// likely to come again: whoever asked for it may ask again if it is taken.
	New() []byte
	// Len returns how many bytes the ID has that b begins with; 0 if b can't
	// begin with one. b goes on to the end of the datagram.
	Len(b []byte) int
}

// Random returns a Generator of random IDs of n bytes. With zero, the peer puts
// none on its records, but may have ours put one on what it gets.
func Random(n int) Generator { return random(n) }

type random int

func (n random) New() []byte {
	id := make([]byte, n)
	rand.Read(id) // never fails
	return id
}

func (n random) Len(b []byte) int {
	if len(b) < int(n) {
		return 0
	}
	return int(n)
}
