package record

import (
	"fmt"
	"testing"

	"github.com/godwit-dtls/godwit/shared/suite"
)

var benchmarked = []uint16{
	suite.TLS_AES_128_GCM_SHA256,
	suite.TLS_AES_256_GCM_SHA384,
	suite.TLS_CHACHA20_POLY1305_SHA256,
	suite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	suite.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	suite.TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8,
	suite.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA,
	suite.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256,
}

// eachSize runs a benchmark for every kind of record and four sizes.
func eachSize(b *testing.B, run func(b *testing.B, s *suite.Suite, size int)) {
	for _, id := range benchmarked {
		s := suite.ByID(id)
		for _, size := range []int{64, 256, 1200, 8192} {
			b.Run(fmt.Sprintf("%s/%d", s.Name, size), func(b *testing.B) { run(b, s, size) })
		}
	}
}

func measured(b *testing.B, size int) {
	b.SetBytes(int64(size))
	b.ReportAllocs()
}

func BenchmarkSeal(b *testing.B) {
	eachSize(b, func(b *testing.B, s *suite.Suite, size int) {
		header := make([]byte, 13)
		b.Run("record", func(b *testing.B) {
			sealer, _ := pair(b, s)
			body := make([]byte, sealer.SealedLen(size))
			measured(b, size)
			for n := uint64(0); b.Loop(); n++ {
				sealer.Seal(body[:0], body[sealer.Prefix():][:size], header, n)
			}
		})
		if s.AEAD == nil {
			return
		}
		b.Run("bare", func(b *testing.B) {
			aead, err := s.AEAD.New(testKey(s).Key)
			if err != nil {
				b.Fatal(err)
			}
			body, nonce := make([]byte, size, size+aead.Overhead()), make([]byte, nonceLen)
			measured(b, size)
			for b.Loop() {
				aead.Seal(body[:0], nonce, body, header)
			}
		})
	})
}

// BenchmarkOpen includes a copy in both forms, since a body opens only once.
func BenchmarkOpen(b *testing.B) {
	eachSize(b, func(b *testing.B, s *suite.Suite, size int) {
		header := make([]byte, 13)
		b.Run("record", func(b *testing.B) {
			sealer, opener := pair(b, s)
			sealed := sealer.Seal(nil, make([]byte, size), header, 1)
			body := make([]byte, len(sealed))
			measured(b, size)
			for b.Loop() {
				copy(body, sealed)
				if _, err := opener.Open(body, header, 1); err != nil {
					b.Fatal(err)
				}
			}
		})
		if s.AEAD == nil {
			return
		}
		b.Run("bare", func(b *testing.B) {
			aead, err := s.AEAD.New(testKey(s).Key)
			if err != nil {
				b.Fatal(err)
			}
			nonce := make([]byte, nonceLen)
			sealed := aead.Seal(nil, nonce, make([]byte, size), header)
			body := make([]byte, len(sealed))
			measured(b, size)
			for b.Loop() {
				copy(body, sealed)
				if _, err := aead.Open(body[:0], nonce, body, header); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
}

func BenchmarkMask(b *testing.B) {
	for _, id := range benchmarked[:3] {
		s := suite.ByID(id)
		b.Run(s.Name, func(b *testing.B) {
			mask, err := NewMask(s, testKey(s).Number)
			if err != nil {
				b.Fatal(err)
			}
			number, ciphertext := make([]byte, 2), make([]byte, 64)
			b.ReportAllocs()
			for b.Loop() {
				mask.Apply(number, ciphertext)
			}
		})
	}
}
