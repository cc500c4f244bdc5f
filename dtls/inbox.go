package dtls

import (
	"encoding/binary"

	"github.com/godwit-dtls/godwit/shared/record"
)

// An inbox holds the plaintext of one datagram's records until they are read,
// in the datagram's own memory: the first where it was decrypted, the others
// moved together behind it, each behind its length in two bytes. That always
// fits, since every record had a header of two bytes or more and a tag.
type inbox struct {
	first []byte
	more  contents // what follows first, in the same memory
	full  bool     // first is set, though perhaps empty
}

func (i *inbox) reset() { *i = inbox{} }

// add appends the plaintext of one record, which lies behind all others.
func (i *inbox) add(p []byte) {
	if !i.full {
		i.first, i.more, i.full = p, p[len(p):], true
		return
	}
	i.more.add(p)
}

// peek copies the first record.
func (i *inbox) peek(p []byte) (n int, ok bool) {
	record.Copy(p, i.first)
	return len(i.first), i.full
}

// read takes the first record out.
func (i *inbox) read(p []byte) (n int, ok bool) {
	data, ok := i.next()
	record.Copy(p, data)
	return len(data), ok
}

// next takes the first record out, and leaves it where it lies.
func (i *inbox) next() (data []byte, ok bool) {
	data, ok = i.first[:len(i.first):len(i.first)], i.full
	if i.first, i.full = i.more.next(); !i.full {
		i.reset()
	}
	return data, ok
}

// contents are those of records in order, each behind its length in two bytes: what
// waits takes that and no more, however small the records are.
type contents []byte

func (c *contents) add(p []byte) {
	*c = append(binary.BigEndian.AppendUint16(*c, uint16(len(p))), p...)
}

// next takes the first one out.
func (c *contents) next() (p []byte, ok bool) {
	if len(*c) == 0 {
		return nil, false
	}
	end := 2 + int(binary.BigEndian.Uint16(*c))
	if p, *c = (*c)[2:end:end], (*c)[end:]; len(*c) == 0 {
		*c = nil
	}
	return p, true
}

// all are all of them.
func (c contents) all() (all [][]byte) {
	for p, ok := c.next(); ok; p, ok = c.next() {
		all = append(all, p)
	}
	return all
}
