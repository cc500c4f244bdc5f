package connectionid

import (
	"bytes"
	"crypto/aes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

// naive reads the draft with blocks as text, one character for half a byte, so
// that the middle byte needs no care: half of the characters are left's.
func naive(t testing.TB, key [16]byte, text []byte) []byte {
	t.Helper()
	block, err := aes.NewCipher(key[:])
	if err != nil {
		t.Fatal(err)
	}
	encrypt := func(input string) string {
		out := make([]byte, 16)
		block.Encrypt(out, unhex(t, input))
		return hex.EncodeToString(out)
	}
	whole := hex.EncodeToString(text)
	if len(text) == 16 {
		return unhex(t, encrypt(whole))
	}
	odd := strings.Repeat("0", len(text)%2) // what an odd number leaves of each half
	expand := func(half string, pass int) string {
		return half + strings.Repeat("0", 28-len(half)) + fmt.Sprintf("%02x%02x", len(text), pass)
	}
	xor := func(a, b string) (sum string) {
		for i := range a {
			sum += fmt.Sprintf("%x", value(a[i])^value(b[i]))
		}
		return sum
	}
	left, right := whole[:len(text)], whole[len(text):]
	right = xor(right, encrypt(expand(left+odd, 1))[len(odd):])
	left = xor(left, encrypt(expand(odd+right, 2)))
	right = xor(right, encrypt(expand(left+odd, 3))[len(odd):])
	left = xor(left, encrypt(expand(odd+right, 4)))
	return unhex(t, left+right)
}

func value(digit byte) int { return strings.IndexByte("0123456789abcdef", digit) }

func TestNaive(t *testing.T) {
	for _, v := range vectors {
		if got := naive(t, [16]byte(unhex(t, v.key)), unhex(t, v.server+v.nonce)); hex.EncodeToString(got) != v.id[2:] {
			t.Errorf("server %s, nonce %s: %x, expected %s", v.server, v.nonce, got, v.id[2:])
		}
	}
}

// checkNetwork compares with naive, and decrypts each number of first bytes.
func checkNetwork(t *testing.T, key [16]byte, text []byte) {
	n, s := newNetwork(key, len(text)), new(scratch)
	for i := range s.text {
		s.text[i] = 0xa5 // what was there before
	}
	copy(s.text[:], text)
	n.encrypt(s)
	encrypted := bytes.Clone(s.text[:n.size])
	if want := naive(t, key, text); !bytes.Equal(encrypted, want) {
		t.Fatalf("%x is encrypted as %x, expected %x", text, encrypted, want)
	}
	for first := range len(text) + 1 {
		copy(s.text[:], encrypted)
		n.decrypt(s, first)
		if got := s.text[:first]; !bytes.Equal(got, text[:first]) {
			t.Fatalf("%x begins with %x, expected %x", encrypted, got, text[:first])
		}
	}
	for _, rest := range s.text[n.size:] {
		if rest != 0xa5 {
			t.Fatalf("a block of %d bytes has changed %x behind it", n.size, s.text[n.size:])
		}
	}
}

func TestNetwork(t *testing.T) {
	for size := 2; size <= maxBlock; size++ {
		text := make([]byte, size)
		for i := range 100 {
			for j := range text {
				text[j] = byte(i * (j + 7) * 31)
			}
			checkNetwork(t, [16]byte{byte(i), byte(size)}, text)
		}
	}
}

func FuzzNetwork(f *testing.F) {
	for _, v := range vectors {
		f.Add(unhex(f, v.key), unhex(f, v.server+v.nonce))
	}
	f.Fuzz(func(t *testing.T, key, text []byte) {
		if len(text) < 2 || len(text) > maxBlock {
			return
		}
		var k [16]byte
		copy(k[:], key)
		checkNetwork(t, k, text)
	})
}
