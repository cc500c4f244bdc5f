package main

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"encoding/binary"

	"github.com/godwit-dtls/godwit/shared/keys"
	"github.com/godwit-dtls/godwit/shared/suite"
)

// Records of CBC whose length is the same, and whose ends differ in what only their
// key can tell. None of them opens: with luck and patience an attacker makes such ones
// of others, and reads them if he can tell the classes apart (Lucky Thirteen).

// textLen is how many bytes of a record are encrypted: of many lengths of a MAC's
// input, some need a block of its hash more.
const textLen = 576

// A fault is what is wrong with a record.
type fault struct {
	classes [2]string
	padding func(class, longest int) int // longest is the MAC's input without padding; nil: fifteen bytes
	damage  func(class int, text, mac []byte)
}

var faults = []fault{
	{classes: [2]string{"no padding, MAC wrong", "255 bytes of padding, MAC wrong"}, damage: wrongMAC,
		padding: func(class, _ int) int { return class * 255 }},
	{classes: [2]string{"padding wrong", "padding right, MAC wrong"},
		damage: func(class int, text, mac []byte) {
			if class == 0 {
				mac = text[len(text)-16:]
			}
			mac[0] ^= 1
		}},
	{classes: [2]string{"MAC's input just needs another block", "or not: one byte less"}, damage: wrongMAC,
		padding: func(class, longest int) int { return (longest+9-1)%64 + class }},
	{classes: [2]string{"first byte of the MAC wrong", "last byte wrong"},
		damage: func(class int, _, mac []byte) { mac[place(class, len(mac))] ^= 1 }},
	{classes: [2]string{"long padding, wrong before its end", "padding right, MAC wrong"},
		damage: func(class int, text, mac []byte) {
			mac[0] ^= 1
			if class == 0 {
				copy(text[len(text)-16:], bytes.Repeat([]byte{255}, 16)) // and not all 256
			}
		}},
}

func wrongMAC(_ int, _, mac []byte) { mac[0] ^= 1 }

// An opening of records under a key.
type opening func(s *suite.Suite, k keys.RecordKey) (open func(body, additional []byte), err error)

func cbcSubjects(name string, s *suite.Suite, o opening) (all []subject) {
	for _, f := range faults {
		all = append(all, f.subject(name, s, o))
	}
	return all
}

func (f fault) subject(name string, s *suite.Suite, o opening) subject {
	return subject{name: name, classes: f.classes, effort: 1, open: func() (prepare, error) {
		k := randomKey(s)
		open, err := o(s, k)
		return func(class int) (trial, error) {
			body, additional := f.record(class, s, k), header(0)
			return timed(func() { open(body, additional) }), nil
		}, err
	}}
}

// record makes one of a class.
func (f fault) record(class int, s *suite.Suite, k keys.RecordKey) []byte {
	padding := 15
	if f.padding != nil {
		padding = f.padding(class, len(header(0))+textLen-s.CBC.MACLen()-1)
	}
	body := make([]byte, aes.BlockSize+textLen)
	iv, text := body[:aes.BlockSize], body[aes.BlockSize:]
	n := textLen - s.CBC.MACLen() - padding - 1
	rand.Read(iv)
	rand.Read(text[:n])
	sum(text[:n], s, k, text[:n])
	for i := range text[textLen-padding-1:] {
		text[textLen-padding-1+i] = byte(padding)
	}
	f.damage(class, text, text[n:n+s.CBC.MACLen()])
	block, _ := aes.NewCipher(k.Key) // of a length that is right
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(text, text)
	return body
}

// sum appends the MAC of a record's content.
func sum(b []byte, s *suite.Suite, k keys.RecordKey, content []byte) []byte {
	mac := hmac.New(s.CBC.MAC.New, k.MAC)
	mac.Write(header(len(content)))
	mac.Write(content)
	return mac.Sum(b)
}

// header is a record's additional data.
func header(length int) []byte {
	return binary.BigEndian.AppendUint16([]byte("sequence\x17\xfe\xfd"), uint16(length))
}

func randomKey(s *suite.Suite) keys.RecordKey {
	mac, key, iv := s.Lengths()
	k := keys.RecordKey{MAC: make([]byte, mac), Key: make([]byte, key), IV: make([]byte, iv)}
	for _, b := range [][]byte{k.MAC, k.Key, k.IV} {
		rand.Read(b)
	}
	return k
}

// openNaively opens a record as one would write it if there were no clocks.
func openNaively(s *suite.Suite, k keys.RecordKey) (func(body, additional []byte), error) {
	block, err := aes.NewCipher(k.Key)
	return func(body, _ []byte) {
		text := body[aes.BlockSize:]
		cipher.NewCBCDecrypter(block, body[:aes.BlockSize]).CryptBlocks(text, text)
		padding := int(text[len(text)-1])
		n := len(text) - 1 - padding - s.CBC.MACLen()
		if n < 0 || bytes.Count(text[len(text)-1-padding:], text[len(text)-1:]) != padding+1 {
			return
		}
		var room [64]byte
		hmac.Equal(sum(room[:0], s, k, text[:n]), text[n:n+s.CBC.MACLen()])
	}, err
}
