package keys

import (
	"bytes"
	"crypto"
	"crypto/hmac"
	"testing"
)

// The standard library's HMAC says the same for keys and texts that are shorter than
// a block, as long, and longer, in whatever parts the text comes.
func TestHMAC(t *testing.T) {
	text := bytes.Repeat([]byte("what is authenticated"), 20)
	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		for _, keyLen := range []int{0, 1, 32, 48, 63, 64, 65, 127, 128, 129, 200} {
			key := bytes.Repeat([]byte{0xa5}, keyLen)
			for _, n := range []int{0, 1, 64, 127, 128, 129, 192, 193, len(text)} {
				mac := hmac.New(h.New, key)
				mac.Write(text[:n])
				want := mac.Sum([]byte("before"))
				if got := appendHMAC([]byte("before"), h, key, text[:n/3], nil, text[n/3:n]); !bytes.Equal(got, want) {
					t.Fatalf("%v, key of %d, text of %d: got %x, want %x", h, keyLen, n, got, want)
				}
			}
		}
	}
}

// A part may be what the result overwrites.
func TestHMACInPlace(t *testing.T) {
	key, a := []byte("key"), bytes.Repeat([]byte{1}, 32)
	want := appendHMAC(nil, crypto.SHA256, key, a)
	if got := appendHMAC(a[:0], crypto.SHA256, key, a); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

func TestHMACDoesNotAllocate(t *testing.T) {
	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		key, dst := make([]byte, 200), make([]byte, 0, 64) // a key that is hashed
		if n := testing.AllocsPerRun(100, func() { appendHMAC(dst, h, key, key[:50], key[:50]) }); n != 0 {
			t.Errorf("%v: %v allocations", h, n)
		}
	}
}
