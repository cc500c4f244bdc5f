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
	more  []byte // what follows first, in the same memory
	full  bool   // first is set, though perhaps empty
}

func (i *inbox) reset() { *i = inbox{} }

// add appends the plaintext of one record, which lies behind all others.
func (i *inbox) add(p []byte) {
	if !i.full {
		i.first, i.more, i.full = p, p[len(p):], true
		return
	}
	i.more = binary.BigEndian.AppendUint16(i.more, uint16(len(p)))
	i.more = append(i.more, p...)
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
	if len(i.more) == 0 {
		i.reset()
		return data, ok
	}
	length := int(binary.BigEndian.Uint16(i.more))
	i.first, i.more = i.more[2:2+length], i.more[2+length:]
	return data, ok
}
