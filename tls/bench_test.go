package tls

import (
	"fmt"
	"testing"
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

// One record: written, carried and read.
func BenchmarkRecord(b *testing.B) {
	for _, v := range versions {
		for _, size := range []int{64, 256, 1024, 8192} {
			b.Run(fmt.Sprintf("%s/%d", v.name, size), func(b *testing.B) {
				p := connectedVersion(b, v.number)
				text, buf := make([]byte, size), make([]byte, size+100)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
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
			})
		}
	}
}
