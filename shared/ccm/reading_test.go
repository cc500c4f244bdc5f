package ccm

import (
	"bytes"
	"crypto/aes"
	"crypto/subtle"
	"encoding/binary"
	"testing"
)

// reading is RFC 3610 2.2 and 2.3 read word by word, with no thought of speed, for
// AES and for additional data and messages of fewer than 2^32 bytes.
func reading(t testing.TB, key, nonce, message, additional []byte, tagLen int) []byte {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	E := func(b []byte) []byte {
		out := make([]byte, 16)
		block.Encrypt(out, b)
		return out
	}
	L := 15 - len(nonce)
	number := func(n int) []byte { // in L bytes, most significant first
		return binary.BigEndian.AppendUint64(make([]byte, 8), uint64(n))[16-L:]
	}

	// 2.2: B_0, the blocks of a, the blocks of m.
	flags := byte((tagLen-2)/2*8 + L - 1)
	if len(additional) > 0 {
		flags += 64
	}
	B := append(append([]byte{flags}, nonce...), number(len(message))...)
	pad := func() {
		for len(B)%16 != 0 {
			B = append(B, 0)
		}
	}
	switch n := len(additional); {
	case n >= 0xff00:
		B = binary.BigEndian.AppendUint32(append(B, 0xff, 0xfe), uint32(n))
	case n > 0:
		B = binary.BigEndian.AppendUint16(B, uint16(n))
	}
	B = append(B, additional...)
	pad()
	B = append(B, message...)
	pad()
	X := E(B[:16])
	for B = B[16:]; len(B) > 0; B = B[16:] {
		subtle.XORBytes(X, X, B[:16])
		X = E(X)
	}
	T := X[:tagLen]

	// 2.3: S_i, of which S_0 is for T.
	S := func(i int) []byte { return E(append(append([]byte{byte(L - 1)}, nonce...), number(i)...)) }
	var stream []byte
	for i := 1; len(stream) < len(message); i++ {
		stream = append(stream, S(i)...)
	}
	sealed := make([]byte, len(message)+tagLen)
	subtle.XORBytes(sealed, message, stream)
	subtle.XORBytes(sealed[len(message):], T, S(0))
	return sealed
}

// FuzzAgainstReading: Seal says what the RFC says; Open opens that, and nothing
// else that comes.
func FuzzAgainstReading(f *testing.F) {
	f.Add([]byte("key"), []byte("nonce"), []byte("message"), []byte("additional"), []byte("forged"), uint8(5), uint8(6))
	f.Add([]byte{}, []byte{}, make([]byte, 384), make([]byte, 13), make([]byte, 392), uint8(5), uint8(2))
	f.Add([]byte{}, []byte{}, make([]byte, 385), make([]byte, 366), make([]byte, 401), uint8(5), uint8(6))
	f.Add([]byte{}, []byte{}, []byte{}, make([]byte, 0xff00), []byte{}, uint8(6), uint8(6))
	f.Fuzz(func(t *testing.T, key, nonce, message, additional, forged []byte, nonceLen, tagLen uint8) {
		fill := func(b []byte, n int) []byte {
			filled := make([]byte, n)
			copy(filled, b)
			return filled
		}
		n, m := 7+int(nonceLen)%7, 4+2*(int(tagLen)%7)
		key, nonce, message = fill(key, 16), fill(nonce, n), message[:min(len(message), 1<<16-1)]
		c := newCCM(t, key, n, m)
		want := reading(t, key, nonce, message, additional, m)
		if got := c.Seal(nil, nonce, message, additional); !bytes.Equal(got, want) {
			t.Errorf("sealed %x, want %x", got, want)
		}
		if got, err := c.Open(nil, nonce, forged, additional); err == nil && !bytes.Equal(reading(t, key, nonce, got, additional, m), forged) {
			t.Errorf("opened %x, which is no ciphertext of %x", forged, got)
		}
		if got, err := c.Open(nil, nonce, want, additional); err != nil || !bytes.Equal(got, message) {
			t.Errorf("opened %x, %v, want %x", got, err, message)
		}
	})
}
