package dtls

import (
	"fmt"
	"slices"
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

// BenchmarkRecord is one record sealed, opened and read, beside the same bytes with
// the bare AEAD: "x-floor" is how many times as long ours takes. Records come in
// bursts, as from a socket.
func BenchmarkRecord(b *testing.B) {
	for _, c := range protections {
		for _, size := range []int{64, 256, 1200, 8192} {
			b.Run(fmt.Sprintf("%s/%d", c.name, size), func(b *testing.B) {
				client, server := with(c.change)
				s := established(b, client, server)
				data := make([]byte, size)
				var burst [BurstSize][]byte
				b.SetBytes(int64(size))
				b.ReportAllocs()
				Alternate(b, func() {
					for i := range burst {
						buf := slices.Grow(burst[i], size+maxOverhead)[:size+maxOverhead]
						n, _ := s.client.Write(buf, data, s.now)
						burst[i] = buf[:n]
					}
					for _, datagram := range burst {
						if s.server.Receive(datagram, s.now) != nil {
							b.Fatal(s.server.Err())
						}
						if _, ok := s.server.Read(data); !ok {
							b.Fatal("nothing to read")
						}
					}
				}, BareAEAD(b, s.client.State().CipherSuite, size))
			})
		}
	}
}

// BurstSize is how many operations what Alternate measures does at once.
const BurstSize = 16

// Alternate measures ours and the floor by turns, so that whatever else the machine
// does hits both, and reports "x-floor": the median of how many times as long ours
// took in one turn. An op is one of both; their medians are "ns/op" and "ns-floor/op".
func Alternate(b *testing.B, ours, floor func()) {
	const bursts = 4
	var took, bare, ratio []float64
	measure := func(f func()) float64 {
		began := time.Now()
		for range bursts {
			f()
		}
		return float64(time.Since(began)) / (bursts * BurstSize)
	}
	measure(ours)
	measure(floor)
	b.ResetTimer()
	for n := 0; n < b.N; n += bursts * BurstSize {
		o, f := measure(ours), measure(floor)
		took, bare, ratio = append(took, o), append(bare, f), append(ratio, o/f)
	}
	median := func(of []float64) float64 {
		slices.Sort(of)
		return of[len(of)/2]
	}
	b.ReportMetric(median(took), "ns/op")
	b.ReportMetric(median(bare), "ns-floor/op")
	b.ReportMetric(median(ratio), "x-floor")
}

// BareAEAD seals and opens bursts of size bytes with the AEAD of a suite. CBC is compared with
// the AEAD that stands in for it.
func BareAEAD(b *testing.B, id uint16, size int) func() {
	if suite.ByID(id).AEAD == nil {
		id = suite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
	}
	a := suite.ByID(id).AEAD
	aead, err := a.New(make([]byte, a.KeyLen))
	if err != nil {
		b.Fatal(err)
	}
	data, room := make([]byte, size), make([]byte, 0, size+aead.Overhead())
	nonce, additional := make([]byte, aead.NonceSize()), make([]byte, headerSize12)
	return func() {
		for range BurstSize {
			sealed := aead.Seal(room, nonce, data, additional)
			if _, err := aead.Open(sealed[:0], nonce, sealed, additional); err != nil {
				b.Fatal(err)
			}
		}
	}
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
