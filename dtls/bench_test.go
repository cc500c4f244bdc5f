package dtls

import (
	"crypto/cipher"
	"fmt"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/suite"
)

// BenchmarkHandshake is both sides of a handshake with an ECDSA P-256
// certificate, full or resumed, over a link that takes no time.
func BenchmarkHandshake(b *testing.B) {
	for _, c := range []setting{
		{"1.3/X25519", together()},
		{"1.3/X25519MLKEM768", hybrid},
		{"1.3/X25519/client-certificate", clientAuth},
		{"1.3/X25519/resumed", resuming},
		{"1.3/X25519MLKEM768/resumed", together(hybrid, resuming)},
		{"1.2/X25519", only12},
		{"1.2/X25519/client-certificate", together(only12, clientAuth)},
		{"1.2/resumed", together(only12, resuming)},
	} {
		b.Run(c.name, func(b *testing.B) {
			client, server := with(c.change)
			if client.ClientSessionCache != nil {
				simulate(b, 0, client, server).settle()
			}
			b.ReportAllocs()
			for b.Loop() {
				s := simulate(b, 0, client, server)
				for !s.open() && s.step() {
				}
				if !s.open() {
					b.Fatal(s.client.err, s.server.err)
				}
				if client.ClientSessionCache != nil {
					s.settle() // the tickets come
					if !s.client.State().DidResume {
						b.Fatal("not resumed")
					}
				}
			}
		})
	}
}

// BenchmarkRecord is one record sealed and opened, beside the same with the bare
// AEAD: "x-aead" is how many times as long ours takes.
func BenchmarkRecord(b *testing.B) {
	for _, c := range protections {
		for _, size := range []int{64, 256, 1200, 8192} {
			b.Run(fmt.Sprintf("%s/%d", c.name, size), func(b *testing.B) {
				client, server := with(c.change)
				s := established(b, client, server)
				id := s.client.State().CipherSuite
				data, buf := make([]byte, size), make([]byte, size+100)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					n, _ := s.client.Write(buf, data, s.now)
					if s.server.Receive(buf[:n], s.now) != nil {
						b.Fatal(s.server.Err())
					}
					if _, ok := s.server.Read(data); !ok {
						b.Fatal("nothing to read")
					}
				}
				ours := b.Elapsed() / time.Duration(b.N)
				bare := bareAEAD(b, id, size, b.N)
				b.ReportMetric(float64(bare.Nanoseconds()), "ns-aead/op")
				b.ReportMetric(float64(ours)/float64(bare), "x-aead")
			})
		}
	}
}

// bareAEAD is how long the AEAD of a suite takes to seal and open size bytes. CBC
// is compared with the AEAD that stands in for it.
func bareAEAD(b *testing.B, id uint16, size, n int) time.Duration {
	if suite.ByID(id).AEAD == nil {
		id = suite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
	}
	a := suite.ByID(id).AEAD
	var aead cipher.AEAD
	aead, err := a.New(make([]byte, a.KeyLen))
	if err != nil {
		b.Fatal(err)
	}
	buf, nonce, additional := make([]byte, size, size+aead.Overhead()), make([]byte, aead.NonceSize()), make([]byte, headerSize12)
	began := time.Now()
	for range n {
		sealed := aead.Seal(buf[:0], nonce, buf, additional)
		if _, err := aead.Open(sealed[:0], nonce, sealed, additional); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(began) / time.Duration(n)
}

// BenchmarkHeap is what an established Engine holds, with the suite and group of
// the defaults.
func BenchmarkHeap(b *testing.B) {
	for _, c := range []setting{{"1.3", together()}, {"1.2", only12}} {
		b.Run(c.name, func(b *testing.B) {
			client, server := with(c.change)
			var heap float64
			for b.Loop() {
				heap = heapPerEngine(b, 200, client, server)
			}
			b.ReportMetric(heap, "B/Engine")
			b.ReportMetric(0, "ns/op") // it says nothing
		})
	}
}
