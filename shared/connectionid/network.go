package connectionid

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"sync"
)

// A network encrypts blocks of a few bytes each to as many: of 16 as AES-128
// does, of others in four passes of a Feistel network whose function is AES
// (draft-ietf-quic-load-balancers-21, Server Actions). A block of an odd number
// of bytes has its middle byte cut into half.
type network struct {
	aes  cipher.Block
	size int // of a block, in bytes; 2 to 19
}

func newNetwork(key [16]byte, size int) network {
	block, _ := aes.NewCipher(key[:]) // fails for other sizes only
	return network{block, size}
}

// A scratch is what a network works on: text in place. It is taken from a pool,
// as arguments of a cipher.Block move to the heap.
type scratch struct {
	text        [maxBlock]byte
	left, right [(maxBlock + 1) / 2]byte
	block       [aes.BlockSize]byte
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

func (n network) encrypt(s *scratch) {
	if n.size == aes.BlockSize {
		n.aes.Encrypt(s.text[:aes.BlockSize], s.text[:aes.BlockSize])
		return
	}
	n.split(s)
	for number := 1; number <= 4; number++ {
		n.pass(s, number)
	}
	n.join(s)
}

// decrypt is for the first bytes of a block, and leaves it open what the others
// become: the first pass changes the right half alone, and needs no undoing
// where nobody asks for it.
func (n network) decrypt(s *scratch, first int) {
	if n.size == aes.BlockSize {
		n.aes.Decrypt(s.text[:aes.BlockSize], s.text[:aes.BlockSize])
		return
	}
	last := 1
	if first <= n.size/2 {
		last = 2
	}
	n.split(s)
	for number := 4; number >= last; number-- {
		n.pass(s, number)
	}
	n.join(s)
}

// half is the size of left and right, which overlap in the middle byte if the
// size is odd: its upper half is left's, its lower half right's.
func (n network) half() int { return (n.size + 1) / 2 }

func (n network) split(s *scratch) {
	copy(s.left[:], s.text[:n.half()])
	copy(s.right[:], s.text[n.size-n.half():n.size])
	n.mask(s)
}

// mask clears what is not left's of left, and not right's of right.
func (n network) mask(s *scratch) {
	if n.size%2 != 0 {
		s.left[n.half()-1] &= 0xf0
		s.right[0] &= 0x0f
	}
}

func (n network) join(s *scratch) {
	clear(s.text[:n.size])
	subtle.XORBytes(s.text[:], s.text[:], s.left[:n.half()])
	right := s.text[n.size-n.half() : n.size]
	subtle.XORBytes(right, right, s.right[:])
}

// pass changes one half by the other: the right one in odd passes, the left one
// in even ones. What is encrypted is the other half, filled up to
//
//	half | zeros | u8 size | u8 number of the pass
func (n network) pass(s *scratch, number int) {
	from, to := s.left[:n.half()], s.right[:n.half()]
	if number%2 == 0 {
		from, to = to, from
	}
	clear(s.block[copy(s.block[:], from):])
	s.block[14], s.block[15] = byte(n.size), byte(number)
	n.aes.Encrypt(s.block[:], s.block[:])
	subtle.XORBytes(to, to, s.block[:])
	n.mask(s)
}
