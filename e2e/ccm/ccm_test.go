// Package ccm holds our CCM against the one of pion/dtls: what they say, and how
// long they take.
package ccm

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"math"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/ccm"
	pion "github.com/pion/dtls/v3/pkg/crypto/ccm"
)

const nonceLen = 12

// both are ours and theirs under one key.
func both(t testing.TB, tagLen int) (ours, theirs cipher.AEAD) {
	t.Helper()
	block, err := aes.NewCipher([]byte("sixteen bytes or"))
	if err != nil {
		t.Fatal(err)
	}
	if ours, err = ccm.New(block, nonceLen, tagLen); err != nil {
		t.Fatal(err)
	}
	if theirs, err = pion.NewCCM(block, tagLen, nonceLen); err != nil {
		t.Fatal(err)
	}
	return ours, theirs
}

func TestAgainstPion(t *testing.T) {
	for _, tagLen := range []int{8, 16} {
		ours, theirs := both(t, tagLen)
		for n := range 1300 {
			plaintext := bytes.Repeat([]byte{byte(n)}, n)
			nonce, additional := bytes.Repeat([]byte{byte(n)}, nonceLen), bytes.Repeat([]byte{1}, n%40)
			if got, want := ours.Seal(nil, nonce, plaintext, additional), theirs.Seal(nil, nonce, plaintext, additional); !bytes.Equal(got, want) {
				t.Fatalf("tags of %d bytes, message of %d: %x and %x", tagLen, n, got, want)
			}
		}
	}
}

// BenchmarkAgainstPion seals and opens 1200 bytes, in turns, and prints the least
// time of each and the ratio of the two, which is what a busy machine changes
// least:
//
//	go test ./ccm -run '^$' -bench AgainstPion
func BenchmarkAgainstPion(b *testing.B) {
	ours, theirs := both(b, 16)
	least := [2]float64{math.Inf(1), math.Inf(1)}
	for b.Loop() {
		for i, aead := range []cipher.AEAD{ours, theirs} {
			least[i] = min(least[i], sealAndOpen(b, aead))
		}
	}
	b.ReportMetric(0, "ns/op") // of both together: nothing to look at
	b.ReportMetric(least[0], "ns/ours")
	b.ReportMetric(least[1], "ns/pion's")
	b.ReportMetric(least[0]/least[1], "ratio")
}

// sealAndOpen is how many nanoseconds one message takes, there and back.
func sealAndOpen(b *testing.B, aead cipher.AEAD) float64 {
	const times = 50
	nonce, additional := make([]byte, nonceLen), make([]byte, 13)
	buf := make([]byte, 1200, 1200+16)
	start := time.Now()
	for range times {
		sealed := aead.Seal(buf[:0], nonce, buf, additional)
		if _, err := aead.Open(buf[:0], nonce, sealed, additional); err != nil {
			b.Fatal(err)
		}
	}
	return float64(time.Since(start)) / times
}
