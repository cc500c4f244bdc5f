package ccm

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func newCCM(t testing.TB, key []byte, nonceLen, tagLen int) cipher.AEAD {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(block, nonceLen, tagLen)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// random is n bytes, the same in every run.
func random(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)}).Read(b)
	return b
}

func TestVectors(t *testing.T) {
	for i, v := range vectors {
		nonce, additional, plaintext, want := unhex(t, v.nonce), unhex(t, v.additional), unhex(t, v.plaintext), unhex(t, v.ciphertext)
		c := newCCM(t, unhex(t, v.key), len(nonce), len(want)-len(plaintext))
		if got := c.Seal(nil, nonce, plaintext, additional); !bytes.Equal(got, want) {
			t.Errorf("vector %d: sealed %x, want %x", i+1, got, want)
		}
		if got, err := c.Open(nil, nonce, want, additional); err != nil || !bytes.Equal(got, plaintext) {
			t.Errorf("vector %d: opened %x, %v, want %x", i+1, got, err, plaintext)
		}
	}
}

// NIST SP 800-38C, example 4: 65536 bytes of additional data, whose length takes
// more than two bytes.
func TestLongAdditionalData(t *testing.T) {
	additional := make([]byte, 1<<16)
	for i := range additional {
		additional[i] = byte(i)
	}
	plaintext := unhex(t, "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f")
	want := "69915dad1e84c6376a68c2967e4dab615ae0fd1faec44cc484828529463ccf72b4ac6bec93e8598e7f0dadbcea5b"
	c := newCCM(t, unhex(t, "404142434445464748494a4b4c4d4e4f"), 13, 14)
	if got := c.Seal(nil, unhex(t, "101112131415161718191a1b1c"), plaintext, additional); hex.EncodeToString(got) != want {
		t.Errorf("got %x, want %s", got, want)
	}
	if got := appendLength(nil, 1<<32); hex.EncodeToString(got) != "ffff0000000100000000" {
		t.Errorf("2^32 is written as %x", got)
	}
}

// TestRoundTrip goes over every length up to 300 bytes, and those at which the key
// stream is made in another way, in place and apart, against the naive reading.
func TestRoundTrip(t *testing.T) {
	lengths := []int{383, 384, 385, 399, 400, 401, 1200, 1<<14 + 1}
	for n := range 301 {
		lengths = append(lengths, n)
	}
	for _, tagLen := range []int{8, 16} {
		for _, keyLen := range []int{16, 32} {
			key := random(keyLen)
			c := newCCM(t, key, 12, tagLen)
			if c.NonceSize() != 12 || c.Overhead() != tagLen {
				t.Fatalf("nonces of %d bytes and tags of %d", c.NonceSize(), c.Overhead())
			}
			for _, n := range lengths {
				roundTrip(t, c, key, random(12), random(n), random(n%50))
			}
		}
	}
}

func roundTrip(t *testing.T, c cipher.AEAD, key, nonce, plaintext, additional []byte) {
	t.Helper()
	want := reading(t, key, nonce, plaintext, additional, c.Overhead())
	prefix := []byte("prefix")
	apart := c.Seal(bytes.Clone(prefix), nonce, plaintext, additional)
	if !bytes.Equal(apart, append(prefix, want...)) {
		t.Fatalf("%d bytes: sealed %x, want %x behind the prefix", len(plaintext), apart, want)
	}
	inPlace := make([]byte, len(plaintext), len(want))
	copy(inPlace, plaintext)
	if got := c.Seal(inPlace[:0], nonce, inPlace, additional); !bytes.Equal(got, want) || &got[0] != &inPlace[:1][0] {
		t.Fatalf("%d bytes in place: sealed %x, want %x", len(plaintext), got, want)
	}
	opened, err := c.Open(bytes.Clone(prefix), nonce, want, additional)
	if err != nil || !bytes.Equal(opened, append(prefix, plaintext...)) {
		t.Fatalf("%d bytes: opened %x, %v, want %x behind the prefix", len(plaintext), opened, err, plaintext)
	}
	opened, err = c.Open(want[:0], nonce, want, additional)
	if err != nil || !bytes.Equal(opened, plaintext) || len(opened) > 0 && &opened[0] != &want[0] {
		t.Fatalf("%d bytes in place: opened %x, %v, want %x", len(plaintext), opened, err, plaintext)
	}
}

// TestEveryBitMatters: nothing that was altered opens, and nothing of it is left.
func TestEveryBitMatters(t *testing.T) {
	for _, tagLen := range []int{8, 16} {
		for _, n := range []int{0, 1, 31, 400} {
			c := newCCM(t, random(16), 12, tagLen)
			parts := [][]byte{c.Seal(nil, random(12), random(n), random(20)), random(12), random(20)}
			for i, part := range parts {
				for bit := range 8 * len(part) {
					part[bit/8] ^= 1 << (bit % 8)
					refused(t, c, fmt.Sprintf("%d bytes, bit %d of part %d", n, bit, i), parts)
					part[bit/8] ^= 1 << (bit % 8)
				}
			}
			whole := parts[0]
			for short := range whole {
				parts[0] = whole[:short]
				refused(t, c, fmt.Sprintf("%d bytes of %d", short, len(whole)), parts)
			}
			if got, err := c.Open(nil, parts[1], whole, parts[2]); err != nil || !bytes.Equal(got, random(n)) {
				t.Errorf("%d bytes: opened %x, %v", n, got, err) // what was altered was put right
			}
		}
	}
}

func refused(t *testing.T, c cipher.AEAD, what string, parts [][]byte) {
	t.Helper()
	n := max(0, len(parts[0])-c.Overhead())
	dst := bytes.Repeat([]byte{0xee}, n)
	if got, err := c.Open(dst[:0], parts[1], parts[0], parts[2]); err != errOpen || got != nil {
		t.Fatalf("%s: opened %x, %v", what, got, err)
	}
	if !bytes.Equal(dst, make([]byte, n)) {
		t.Fatalf("%s: %x is left", what, dst)
	}
}

func TestLimits(t *testing.T) {
	block, err := aes.NewCipher(random(16))
	if err != nil {
		t.Fatal(err)
	}
	small, err := des.NewCipher(random(8))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		block            cipher.Block
		nonceLen, tagLen int
	}{{small, 12, 8}, {block, 6, 8}, {block, 14, 8}, {block, 12, 2}, {block, 12, 9}, {block, 12, 18}} {
		if got, err := New(c.block, c.nonceLen, c.tagLen); err == nil || got != nil {
			t.Errorf("blocks of %d bytes, nonces of %d and tags of %d are possible", c.block.BlockSize(), c.nonceLen, c.tagLen)
		}
	}

	c := newCCM(t, random(16), 13, 8) // leaves two bytes for the length
	longest := make([]byte, 1<<16-1)
	if got, err := c.Open(nil, random(13), c.Seal(nil, random(13), longest, nil), nil); err != nil || !bytes.Equal(got, longest) {
		t.Errorf("the longest message doesn't open: %v", err)
	}
	if _, err := c.Open(nil, random(13), make([]byte, 1<<16+8), nil); err != errOpen {
		t.Errorf("a longer one: %v", err)
	}
	panics(t, "a longer message", func() { c.Seal(nil, random(13), make([]byte, 1<<16), nil) })
	panics(t, "a short nonce", func() { c.Seal(nil, random(12), nil, nil) })
	panics(t, "a long nonce", func() { c.Open(nil, random(14), make([]byte, 8), nil) })

	buf := make([]byte, 1000)
	for _, n := range []int{32, 500} { // either way to a key stream
		panics(t, "an overlap", func() { c.Seal(buf[1:1], random(13), buf[:n], nil) })
	}
	roundTrip(t, newCCM(t, random(16), 7, 4), random(16), random(7), random(100), nil)
	roundTrip(t, c, random(16), random(13), random(100), nil) // no panic did it harm
}

func panics(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s is accepted", what)
		}
	}()
	f()
}

// TestAllocations: none for short messages, one for long ones.
func TestAllocations(t *testing.T) {
	for n, want := range map[int]float64{0: 0, 12: 0, 384: 0, 385: 1, 1200: 1, 1 << 14: 1} {
		c := newCCM(t, random(16), 12, 8)
		nonce, additional, buf := random(12), random(13), make([]byte, n+8)
		if got := testing.AllocsPerRun(100, func() { c.Seal(buf[:0], nonce, buf[:n], additional) }); got > want {
			t.Errorf("Seal of %d bytes allocates %v times", n, got)
		}
		sealed, opened := c.Seal(nil, nonce, buf[:n], additional), buf[:0]
		if got := testing.AllocsPerRun(100, func() {
			if _, err := c.Open(opened, nonce, sealed, additional); err != nil {
				t.Fatal(err)
			}
		}); got > want {
			t.Errorf("Open of %d bytes allocates %v times", n, got)
		}
	}
}

// BenchmarkSealAndOpen has GCM beside CCM.
func BenchmarkSealAndOpen(b *testing.B) {
	block, err := aes.NewCipher(random(16))
	if err != nil {
		b.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		b.Fatal(err)
	}
	for _, one := range []struct {
		name string
		aead cipher.AEAD
	}{{"CCM", newCCM(b, random(16), 12, 16)}, {"CCM_8", newCCM(b, random(16), 12, 8)}, {"GCM", gcm}} {
		for _, n := range []int{12, 64, 256, 384, 400, 1200, 16384} {
			b.Run(fmt.Sprintf("%s/%d", one.name, n), func(b *testing.B) {
				nonce, additional := random(12), random(13)
				buf := make([]byte, n, n+one.aead.Overhead())
				b.SetBytes(int64(n))
				b.ReportAllocs()
				for b.Loop() {
					sealed := one.aead.Seal(buf[:0], nonce, buf, additional)
					if _, err := one.aead.Open(buf[:0], nonce, sealed, additional); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
