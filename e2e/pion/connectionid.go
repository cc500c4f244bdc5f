package dtls

import "crypto/rand"

// RandomCIDGenerator makes random connection IDs of so many bytes; with zero the
// peer puts none on its records.
func RandomCIDGenerator(size int) func() []byte {
	return func() []byte {
		id := make([]byte, size)
		rand.Read(id) // never fails
		return id
	}
}

// OnlySendCIDGenerator puts the peer's connection IDs on our records and wants none
// on its own.
func OnlySendCIDGenerator() func() []byte { return func() []byte { return nil } }

// connectionIDs is a function that makes IDs of one length as a
// ConnectionIDGenerator.
type connectionIDs struct {
	generate func() []byte
	length   int
}

func (c connectionIDs) New() []byte { return c.generate() }

func (c connectionIDs) Len(b []byte) int {
	if len(b) < c.length {
		return 0
	}
	return c.length
}
