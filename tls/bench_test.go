package tls

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/suite"
)

// A whole handshake, both sides, without any link: ECDSA P-256, or resumed with
// the tickets for the next one.
func BenchmarkHandshake(b *testing.B) {
	for _, v := range versions {
		for _, resumed := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/resumed=%v", v.name, resumed), func(b *testing.B) {
				client, server := configs(v.number)
				if resumed {
					client.ClientSessionCache = NewLRUClientSessionCache(0)
					connected(b, client, server)
				}
				b.ReportAllocs()
				for b.Loop() {
					if connected(b, client, server).client.State().DidResume != resumed {
						b.Fatal("not resumed, or resumed")
					}
				}
			})
		}
	}
}

// One record: written, carried and read, beside the same bytes with the bare AEAD.
// They are measured by turns, so that whatever else the machine does hits both;
// "x-floor" is the median of how many times as long ours took in one turn.
func BenchmarkRecord(b *testing.B) {
	for _, v := range versions {
		for _, size := range []int{64, 256, 1024, 8192} {
			b.Run(fmt.Sprintf("%s/%d", v.name, size), func(b *testing.B) {
				p := connectedVersion(b, v.number)
				text, buf := make([]byte, size), make([]byte, size+100)
				ours := func() {
					if err := p.client.Write(text, testTime); err != nil {
						b.Fatal(err)
					}
					n := p.client.Transmit(buf)
					if err := p.server.Receive(buf[:n], testTime); err != nil {
						b.Fatal(err)
					}
					if n, ok := p.server.Read(buf); !ok || n != size {
						b.Fatal(n, ok)
					}
				}
				floor := bareAEAD(b, p.client.State().CipherSuite, size)
				const turn = 64
				measure := func(f func()) float64 {
					began := time.Now()
					for range turn {
						f()
					}
					return float64(time.Since(began)) / turn
				}
				var took, ratios []float64
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for n := 0; n < b.N; n += turn {
					o, f := measure(ours), measure(floor)
					took, ratios = append(took, o), append(ratios, o/f)
				}
				slices.Sort(took)
				slices.Sort(ratios)
				b.ReportMetric(took[len(took)/2], "ns/op")
				b.ReportMetric(ratios[len(ratios)/2], "x-floor")
			})
		}
	}
}

// bareAEAD seals and opens size bytes with the AEAD of a suite.
func bareAEAD(b *testing.B, id uint16, size int) func() {
	a := suite.ByID(id).AEAD
	aead, err := a.New(make([]byte, a.KeyLen))
	if err != nil {
		b.Fatal(err)
	}
	text, room := make([]byte, size), make([]byte, 0, size+aead.Overhead())
	nonce, additional := make([]byte, aead.NonceSize()), make([]byte, headerSize)
	return func() {
		sealed := aead.Seal(room, nonce, text, additional)
		if _, err := aead.Open(sealed[:0], nonce, sealed, additional); err != nil {
			b.Fatal(err)
		}
	}
}
