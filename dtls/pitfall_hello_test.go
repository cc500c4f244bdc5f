package dtls

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/godwit-dtls/godwit/fragment"
)

// What a Listener's first words did to other stacks. docs/pitfalls.md has them all.

// What a greeter answers to a hello has nothing of those that it heard before
// (CVE-2015-0207).
func TestPitfallListenKeepsNothing(t *testing.T) {
	for _, c := range greetings {
		t.Run(c.name, func(t *testing.T) {
			client, server := with(c.change)
			server.CookieKeys = [][32]byte{{1}}
			datagrams := newCaller(t, client).flight()
			answer := func(before ...[]byte) []byte {
				g := testGreeter(server)
				for n, b := range before {
					g.greet(b, netip.AddrPortFrom(someAddr.Addr(), uint16(n+1)), epochOfSimulation)
				}
				var last outcome
				for _, b := range datagrams {
					last = g.greet(bytes.Clone(b), someAddr, epochOfSimulation)
				}
				return bytes.Clone(last.reply)
			}
			alone := answer()
			if alone == nil {
				t.Fatal("no answer")
			}
			var before [][]byte
			for _, other := range greetings {
				another, config := with(other.change)
				caller := newCaller(t, another)
				before = append(before, caller.flight()...)
				if other.name == "1.3" || other.name == "1.2" {
					before = append(before, newCaller(t, another).answer(testGreeter(config))...) // with a cookie
				}
			}
			for _, b := range slices.Clone(before) {
				before = append(before, b[:len(b)/2], bytes.Repeat([]byte{0xff}, len(b)))
			}
			if got := answer(before...); !bytes.Equal(got, alone) {
				t.Errorf("the answer is\n% x, alone it was\n% x", got, alone)
			}
		})
	}
}

// A hello that ends early, at any byte, with lengths that say so or don't, is read
// no further and welcomes nobody, though its cookie is good (CVE-2022-35409): but where
// its extensions would begin, which may be absent.
func TestPitfallTruncatedHello(t *testing.T) {
	for _, c := range greetings {
		client, server := with(c.change)
		g, caller := testGreeter(server), newCaller(t, client)
		hello := caller.answer(g)
		if len(hello) > 1 {
			continue // it comes in pieces: see TestHelloTableAnyFragments
		}
		welcome := 0
		for n := range hello[0] {
			for _, cut := range truncations(hello[0], n) {
				last := g.greet(cut, caller.from, caller.now)
				if len(last.reply) > amplification*len(cut) {
					t.Fatalf("%s: the first %d bytes: %d bytes out", c.name, n, len(last.reply))
				}
				if last.welcome != nil {
					welcome++
				}
			}
		}
		if welcome > 1 || welcome > 0 && !is12(client, server) { // 1.3 has its cookie in an extension
			t.Errorf("%s: %d cut hellos are welcome", c.name, welcome)
		}
		if last := g.greet(hello[0], caller.from, caller.now); last.welcome == nil {
			t.Errorf("%s: the whole hello is not welcome", c.name)
		}
	}
}

// truncations are the first n bytes of a datagram with a ClientHello, as they are
// and with lengths of record and message that fit.
func truncations(hello []byte, n int) (all [][]byte) {
	plain := slices.Clip(bytes.Clone(hello[:n])) // whoever reads on panics
	all = append(all, plain)
	if n >= headerSize12 {
		record := slices.Clip(bytes.Clone(plain))
		binary.BigEndian.PutUint16(record[headerSize12-2:], uint16(n-headerSize12))
		all = append(all, record)
	}
	if body := n - headerSize12 - fragment.HeaderSize; body >= 0 {
		message := slices.Clip(bytes.Clone(all[len(all)-1]))
		for _, at := range []int{1, 9} { // length and fragment_length, of which the first byte is 0
			binary.BigEndian.PutUint16(message[headerSize12+at+1:], uint16(body))
		}
		all = append(all, message)
	}
	return all
}
