package tls

import (
	"testing"

	"github.com/godwit-dtls/godwit/shared/handshake"
)

// Whatever a peer sends after a valid start, an Engine neither panics nor loops
// nor keeps more than it was sent; once failed, it stays so.

func FuzzClientEngine(f *testing.F) { fuzzEngine(f, handshake.Client) }
func FuzzServerEngine(f *testing.F) { fuzzEngine(f, handshake.Server) }

// fuzzEngine feeds fuzzed bytes to one side, at a place of the handshake and in
// pieces of a size that are fuzzed as well.
func fuzzEngine(f *testing.F, r handshake.Role) {
	for place := range uint8(12) {
		f.Add(place, uint8(0), []byte("\x16\x03\x03\x00\x04\x14\x00\x00\x00"))
		f.Add(place, uint8(1), []byte("\x15\x03\x03\x00\x02\x01\x00"))
		f.Add(place, uint8(2), []byte("\x17\x03\x03\x00\x20aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"))
	}
	for i := range scenarios { // a real flight, to be mutated
		client, server := scenario(i)
		p := newPair(f, client, server)
		p.connect()
		f.Add(uint8(i), uint8(200), p.fromClient)
		f.Add(uint8(i), uint8(200), p.fromServer)
	}
	f.Fuzz(func(t *testing.T, place, piece uint8, in []byte) {
		client, server := scenario(int(place) % len(scenarios))
		p := newPair(t, client, server)
		p.client.Start(testTime)
		for range int(place) / len(scenarios) % 4 { // how many flights are genuine
			p.carry(p.client, p.server, &p.fromClient)
			p.carry(p.server, p.client, &p.fromServer)
		}
		e := p.client
		if r == handshake.Server {
			e = p.server
		}
		for len(in) > 0 {
			n := min(int(piece)+1, len(in))
			err := e.Receive(in[:n], testTime)
			in = in[n:]
			work(e)
			readAll(e)
			if err != nil && e.Receive(in, testTime) != err {
				t.Fatal("the error is forgotten")
			}
		}
		drain(e)
		if len(e.in) > headerSize+maxPlaintext+maxExpansion12+256 || len(e.messages) > 1<<18 {
			t.Fatal("too much is kept:", len(e.in), len(e.messages))
		}
		if e.Err() != nil && e.Write([]byte("x"), testTime) == nil {
			t.Fatal("a failed connection can be written")
		}
	})
}
