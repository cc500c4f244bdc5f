package dtls

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/fragment"
	"github.com/godwit-dtls/godwit/shared/handshake"
)

var (
	someAddr  = netip.MustParseAddrPort("192.0.2.1:1000")
	otherAddr = netip.MustParseAddrPort("192.0.2.1:1001")
)

func randomBody(random *rand.Rand, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

// addPart adds body[from:to] in a datagram of 25 bytes more.
func (t *helloTable) addPart(addr netip.AddrPort, body []byte, from, to int, now time.Time) (hello []byte, size int) {
	h := fragment.Header{Type: 1, Length: len(body), Offset: from, Size: to - from}
	return t.add(addr, h, body[from:to], to-from+25, now)
}

// Fragments in any order, overlapping and repeated, make the message exactly when
// the last missing byte has come.
func TestHelloTableAnyFragments(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	table := newHelloTable(0, 0)
	for range 2000 {
		body := randomBody(random, 1+random.IntN(handshake.DefaultMaxSplitHello))
		have, missing, size := make([]bool, len(body)), len(body), 0
		for missing > 0 {
			from := random.IntN(len(body) + 1)
			to := from + random.IntN(min(1+len(body)-from, 1+len(body)/2))
			if random.IntN(4) == 0 {
				from, to = 0, min(len(body), 100) // often a duplicate
			}
			if random.IntN(20) == 0 { // fill the first gap, so that it ends
				from = 0
				for have[from] {
					from++
				}
				to = len(body)
			}
			for i := from; i < to; i++ {
				if !have[i] {
					have[i] = true
					missing--
				}
			}
			size += to - from + 25
			hello, gotSize := table.addPart(someAddr, body, from, to, epochOfSimulation)
			switch {
			case (hello != nil) != (missing == 0):
				t.Fatalf("%d bytes missing, and hello is %d bytes", missing, len(hello))
			case hello != nil && (!bytes.Equal(hello, body) || gotSize != size):
				t.Fatalf("the hello differs, or its size %d from %d", gotSize, size)
			}
		}
	}
}

func TestHelloTableStartsAnew(t *testing.T) {
	now := epochOfSimulation
	body, other := bytes.Repeat([]byte{1}, 100), bytes.Repeat([]byte{2}, 101)
	tests := map[string]func(*helloTable) (hello []byte, want []byte){
		"another length": func(table *helloTable) (hello, want []byte) {
			table.addPart(someAddr, body, 0, 50, now)
			table.addPart(someAddr, other, 0, 50, now)
			hello, _ = table.addPart(someAddr, other, 50, 101, now)
			return hello, other
		},
		"the first length again": func(table *helloTable) (hello, want []byte) {
			table.addPart(someAddr, body, 0, 50, now)
			table.addPart(someAddr, other, 0, 50, now)
			hello, _ = table.addPart(someAddr, body, 50, 100, now)
			return hello, nil
		},
		"another message_seq": func(table *helloTable) (hello, want []byte) {
			table.addPart(someAddr, body, 0, 50, now)
			hello, _ = table.add(someAddr, fragment.Header{Length: 100, Offset: 50, Size: 50, Seq: 1}, body[50:], 75, now)
			return hello, nil
		},
		"after its time": func(table *helloTable) (hello, want []byte) {
			table.addPart(someAddr, body, 0, 50, now)
			hello, _ = table.addPart(someAddr, body, 50, 100, now.Add(helloLifetime))
			return hello, nil
		},
		"just in time": func(table *helloTable) (hello, want []byte) {
			table.addPart(someAddr, body, 0, 50, now)
			hello, _ = table.addPart(someAddr, body, 50, 100, now.Add(helloLifetime-1))
			return hello, body
		},
		"after one with a cookie was complete": func(table *helloTable) (hello, want []byte) {
			for _, from := range []int{0, 50, 50} {
				hello, _ = table.add(someAddr, fragment.Header{Length: 100, Offset: from, Size: 50, Seq: 1}, body[from:from+50], 75, now)
			}
			return hello, nil
		},
		"other bytes in its middle": func(table *helloTable) (hello, want []byte) {
			table.addPart(someAddr, body, 0, 60, now)
			table.addPart(someAddr, other[:100], 50, 100, now)
			hello, _ = table.addPart(someAddr, body, 0, 50, now)
			return hello, slices.Concat(body[:50], other[50:100])
		},
		"from another port": func(table *helloTable) (hello, want []byte) {
			table.addPart(someAddr, body, 0, 50, now)
			hello, _ = table.addPart(otherAddr, body, 50, 100, now)
			return hello, nil
		},
		"too long": func(table *helloTable) (hello, want []byte) {
			long := make([]byte, handshake.DefaultMaxSplitHello+1)
			table.addPart(someAddr, long, 0, 2000, now)
			table.addPart(someAddr, long, 2000, 4000, now)
			hello, _ = table.addPart(someAddr, long, 4000, len(long), now)
			return hello, nil
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if hello, want := test(newHelloTable(0, 0)); !bytes.Equal(hello, want) {
				t.Errorf("hello has %d bytes, want %d", len(hello), len(want))
			}
		})
	}
}

// An answer that is lost is asked for by whatever comes of the next copy, and has three
// times its bytes at most. Other bytes are another hello.
func TestHelloTableKeepsFirstHello(t *testing.T) {
	now := epochOfSimulation
	table, body := newHelloTable(0, 0), randomBody(rand.New(rand.NewPCG(1, 2)), 100)
	table.addPart(someAddr, body, 0, 50, now)
	table.addPart(someAddr, body, 50, 100, now)
	for _, from := range []int{50, 0, 20} {
		if hello, size := table.addPart(someAddr, body, from, from+30, now); !bytes.Equal(hello, body) || size != 30+25 {
			t.Errorf("from %d: %d bytes of a hello that came in %d, want 100 and 55", from, len(hello), size)
		}
	}
	body[0] ^= 1
	if hello, _ := table.addPart(someAddr, body, 0, 50, now); hello != nil {
		t.Error("two hellos became one")
	}
}

// What has had its answer makes room before what waits for it, however old that is.
func TestHelloTableTakesOverAnswered(t *testing.T) {
	table, body := newHelloTable(2, 0), make([]byte, 100)
	table.addPart(someAddr, body, 0, 50, epochOfSimulation)
	for i, addr := range []netip.AddrPort{otherAddr, netip.MustParseAddrPort("192.0.2.2:1000"), netip.MustParseAddrPort("192.0.2.3:1000")} {
		now := epochOfSimulation.Add(time.Duration(i+1) * time.Second)
		table.addPart(addr, body, 0, 50, now)
		if hello, _ := table.addPart(addr, body, 50, 100, now); hello == nil {
			t.Fatalf("%v had no place", addr)
		}
	}
	if hello, _ := table.addPart(someAddr, body, 50, 100, epochOfSimulation.Add(10*time.Second)); hello == nil {
		t.Error("one that waited was lost to one that didn't")
	}
}

// A quarter as many clients as there are places come between each other's datagrams,
// and hardly one takes another's place.
func TestHelloTableOfManyClients(t *testing.T) {
	const clients = handshake.DefaultSplitHellos / 4
	table, body := newHelloTable(0, 0), make([]byte, 2000)
	address := func(i int) netip.AddrPort { return netip.AddrPortFrom(someAddr.Addr(), uint16(i)) }
	for i := range clients {
		table.addPart(address(i), body, 0, 1000, epochOfSimulation.Add(time.Duration(i)))
	}
	lost := 0
	for i := range clients {
		if hello, _ := table.addPart(address(i), body, 1000, 2000, epochOfSimulation); hello == nil {
			lost++
		}
	}
	if lost > 3 {
		t.Errorf("%d of %d hellos were lost", lost, clients)
	}
}

// Whatever comes from however many addresses, the table keeps its size.
func TestHelloTableHasFixedSize(t *testing.T) {
	if !Alone(t) {
		return
	}
	table := newHelloTable(0, 0)
	body := make([]byte, handshake.DefaultMaxSplitHello)
	port := uint16(0)
	if n := testing.AllocsPerRun(10*handshake.DefaultSplitHellos, func() {
		port++
		addr := netip.AddrPortFrom(someAddr.Addr(), port)
		table.addPart(addr, body, 0, 100, epochOfSimulation)
		table.addPart(addr, body, 3000, 4000, epochOfSimulation)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if len(table.places) != handshake.DefaultSplitHellos {
		t.Errorf("%d places", len(table.places))
	}
}
