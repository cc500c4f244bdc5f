package connectionid

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"sync"
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

// number reads what putNumber writes.
func number(b []byte) (n uint64) {
	for _, octet := range b {
		n = n<<8 | uint64(octet)
	}
	return n
}

func newRouter(t testing.TB, routings ...Routing) *Router {
	t.Helper()
	r, err := NewRouter(routings...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func generator(t testing.TB, r *Router, server uint64) Generator {
	t.Helper()
	g, err := r.Generator(server)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// routing is a Routing with a key.
func routing(rotation uint8, server, nonce int) Routing {
	return Routing{Key: [16]byte{1, 2, 3, rotation}, Rotation: rotation, ServerLen: server, NonceLen: nonce}
}

// vectors are those of draft-ietf-quic-load-balancers-21, Load Balancer Test
// Vectors, and its Encryption Example. The draft has 3 for the rotation of the
// last but one, but its ID begins with 0.
var vectors = []struct {
	rotation               uint8
	key, server, nonce, id string
}{
	{0, "8f95f09245765f80256934e50c66207f", "ed793a", "ee080dbf", "0720b1d07b359d3c"},
	{1, "8f95f09245765f80256934e50c66207f", "ed793a51d49b8f5fab65", "ee080dbf48", "2fcc381bc74cb4fbad2823a3d1f8fed2"},
	{2, "8f95f09245765f80256934e50c66207f", "ed793a51d49b8f5f", "ee080dbf48c0d1e5", "504dd2d05a7b0de9b2b9907afb5ecf8cc3"},
	{0, "8f95f09245765f80256934e50c66207f", "ed793a51d49b8f5fab", "ee080dbf48c0d1e55d", "125779c9cc86beb3a3a4a3ca96fce4bfe0cdbc"},
	{0, "fdf726a9893ec05c0632d3956680baf0", "31441a", "9c69c275", "0767947d29be054a"},
}

func TestVectors(t *testing.T) {
	for _, v := range vectors {
		server, nonce, id := unhex(t, v.server), unhex(t, v.nonce), unhex(t, v.id)
		key := [16]byte(unhex(t, v.key))
		n, s := newNetwork(key, len(server)+len(nonce)), new(scratch)
		copy(s.text[copy(s.text[:], server):], nonce)
		n.encrypt(s)
		if got := s.text[:n.size]; !bytes.Equal(got, id[1:]) {
			t.Errorf("server %s, nonce %s: encrypted as %x, expected %x", v.server, v.nonce, got, id[1:])
		}
		n.decrypt(s, len(server))
		if got := s.text[:len(server)]; !bytes.Equal(got, server) {
			t.Errorf("ID %s: server %x, expected %s", v.id, got, v.server)
		}

		if len(server) > 8 {
			continue // longer than a Routing lets it be
		}
		r := newRouter(t, Routing{Key: key, Rotation: v.rotation, ServerLen: len(server), NonceLen: len(nonce)})
		if got, ok := r.Server(id); got != number(server) || !ok {
			t.Errorf("ID %s: server %x, %v, expected %s", v.id, got, ok, v.server)
		}
		if got := r.Len(id); got != len(id) {
			t.Errorf("ID %s is said to have %d bytes", v.id, got)
		}
		if got := generator(t, r, number(server)).New(); len(got) != len(id) || got[0] != id[0] {
			t.Errorf("New made %x, expected %d bytes that begin with %x", got, len(id), id[0])
		}
	}
}

// TestRoundTrip makes IDs of all lengths that there are, for the smallest and
// the greatest number, and reads them with and without something behind.
func TestRoundTrip(t *testing.T) {
	for server := 1; server <= 8; server++ {
		for nonce := 4; nonce <= maxBlock-server; nonce++ {
			r := newRouter(t, routing(uint8(nonce%(maxRotation+1)), server, nonce))
			for _, want := range []uint64{0, 1, 1<<(8*server) - 1} {
				g := generator(t, r, want)
				id := g.New()
				if len(id) != 1+server+nonce {
					t.Fatalf("an ID of %d bytes for a server of %d and a nonce of %d", len(id), server, nonce)
				}
				for _, b := range [][]byte{id, append(slices.Clip(id), "and a record"...)} {
					if got, ok := r.Server(b); got != want || !ok {
						t.Errorf("%x, %d and %d bytes: server %d, %v, expected %d", b, server, nonce, got, ok, want)
					}
					if got := g.Len(b); got != len(id) {
						t.Errorf("%x: an ID of %d bytes is said to have %d", b, len(id), got)
					}
				}
				for size := range id {
					if got, ok := r.Server(id[:size]); ok || r.Len(id[:size]) != 0 {
						t.Errorf("%d bytes of %x are said to be an ID of server %d", size, id, got)
					}
				}
			}
		}
	}
}

// TestRotation changes the key while IDs of the old one are in use.
func TestRotation(t *testing.T) {
	before, after := routing(0, 1, 8), routing(6, 2, 14)
	old, both := newRouter(t, before), newRouter(t, before, after)
	newest := newRouter(t, after, before)
	was, is := generator(t, old, 7), generator(t, newest, 7)

	for name, id := range map[string][]byte{"old": was.New(), "new": is.New()} {
		for _, r := range []*Router{both, newest} {
			if server, ok := r.Server(id); server != 7 || !ok {
				t.Errorf("the %s ID %x: server %d, %v", name, id, server, ok)
			}
		}
		if got := is.Len(id); got != len(id) {
			t.Errorf("to the new Generator the %s ID %x has %d bytes", name, id, got)
		}
	}
	if id := is.New(); id[0]>>5 != 6 || was.Len(id) != 0 {
		t.Errorf("the new ID %x is one to the old Generator, or of another rotation than 6", id)
	}
	if id := generator(t, both, 7).New(); id[0]>>5 != 0 {
		t.Errorf("a Router's first Routing has rotation 0, but %x was made", id)
	}
}

// A datagram goes where its connection ID says.
func TestRoute(t *testing.T) {
	r := newRouter(t, routing(1, 1, 8))
	id := generator(t, r, 1).New()
	record := append(append([]byte{25, 254, 253, 0, 1, 0, 0, 0, 0, 0, 7}, id...), 0, 3, 1, 2, 3)
	if server, ok := r.Route(record); !ok || server != 1 {
		t.Errorf("it goes to server %d, %v", server, ok)
	}
	if server, ok := r.Route([]byte{22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1}); ok {
		t.Errorf("without an ID it goes to server %d", server)
	}
}

func TestNotRoutable(t *testing.T) {
	r := newRouter(t, routing(1, 1, 8))
	good := generator(t, r, 1).New()
	for name, first := range map[string]byte{
		"another rotation":  2<<5 | 9,
		"the one of nobody": 7<<5 | 9,
		"a shorter length":  1<<5 | 8,
		"a longer length":   1<<5 | 10,
	} {
		id := append([]byte{first}, good[1:]...)
		if server, ok := r.Server(id); ok || r.Len(id) != 0 {
			t.Errorf("%s: %x is said to be an ID of server %d", name, id, server)
		}
	}
	var none Router
	if server, ok := none.Server(good); ok || none.Len(good) != 0 {
		t.Errorf("the zero Router finds server %d", server)
	}
}

func TestUnusable(t *testing.T) {
	with := func(change func(*Routing)) Routing {
		r := routing(0, 2, 8)
		change(&r)
		return r
	}
	for _, c := range []struct {
		routings []Routing
		want     string
	}{
		{nil, "without a Routing"},
		{[]Routing{{}}, "Key"},
		{[]Routing{with(func(r *Routing) { r.Key = [16]byte{} })}, "Key"},
		{[]Routing{with(func(r *Routing) { r.Rotation = 7 })}, "Rotation: 7"},
		{[]Routing{with(func(r *Routing) { r.ServerLen = 0 })}, "ServerLen: 0"},
		{[]Routing{with(func(r *Routing) { r.ServerLen = 9 })}, "ServerLen: 9"},
		{[]Routing{with(func(r *Routing) { r.NonceLen = 3 })}, "NonceLen: 3"},
		{[]Routing{with(func(r *Routing) { r.NonceLen = 18 })}, "NonceLen: 18 is outside 4 to 17"},
		{[]Routing{routing(3, 1, 8), routing(3, 2, 8)}, "two have 3"},
	} {
		if _, err := NewRouter(c.routings...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, expected %q", c.routings, err, c.want)
		}
	}
	if _, err := newRouter(t, routing(0, 1, 8)).Generator(256); err == nil {
		t.Error("server 256 fits into a byte")
	}
	if _, err := new(Router).Generator(1); err == nil {
		t.Error("the zero Router has a Generator")
	}
}

// TestNeverTwice makes so many IDs with a nonce of 4 bytes that some would come
// twice, about eight pairs, if it were random.
func TestNeverTwice(t *testing.T) {
	const makers, each = 4, 1 << 16
	g := generator(t, newRouter(t, routing(0, 1, 4)), 9)
	var made [makers][]string
	var wait sync.WaitGroup
	for i := range made {
		wait.Go(func() {
			for range each {
				made[i] = append(made[i], string(g.New()))
			}
		})
	}
	wait.Wait()
	seen := map[string]bool{}
	for _, ids := range made {
		for _, id := range ids {
			if seen[id] {
				t.Fatalf("%x was made twice", id)
			}
			seen[id] = true
		}
	}
}

func TestNoncesRunOut(t *testing.T) {
	for nonce, last := range map[int]uint64{4: 1<<32 - 1, 7: 1<<56 - 1, 8: 1<<64 - 2} {
		g := generator(t, newRouter(t, routing(0, 1, nonce)), 9).(*routable)
		g.made.Store(last)
		if id := g.New(); len(id) != 2+nonce {
			t.Errorf("after %d IDs with a nonce of %d bytes, New returned %x", last, nonce, id)
		}
		if id := g.New(); nonce < 8 && id != nil {
			t.Errorf("all nonces of %d bytes were used, but New returned %x", nonce, id)
		}
	}
}

// TestUnlinkable counts, in what an observer sees and in the nonces that he
// doesn't, how often each bit changes from one ID of a server to the next: half
// of the times, whatever the length. The bounds are eight standard deviations.
func TestUnlinkable(t *testing.T) {
	const n, bound = 4096, 256
	for _, nonce := range []int{4, 7, 8, 15, 16, 18} {
		r := newRouter(t, routing(0, 1, nonce))
		g := generator(t, r, 9)
		changes := func(what string, next func() []byte) {
			last := next()
			counts := make([]int, 8*len(last))
			for range n {
				now := next()
				for i := range counts {
					counts[i] += int((now[i/8]^last[i/8])>>(i%8)) & 1
				}
				last = now
			}
			for i, count := range counts {
				if count < n/2-bound || count > n/2+bound {
					t.Errorf("a nonce of %d bytes: bit %d of byte %d of the %s changes %d of %d times", nonce, i%8, i/8, what, count, n)
				}
			}
		}
		changes("ID", func() []byte { return g.New()[1:] })
		changes("nonce", func() []byte {
			s := new(scratch)
			copy(s.text[:], g.New()[1:])
			r.newest.decrypt(s, r.newest.size)
			return s.text[1 : 1+nonce]
		})
	}
}

// TestOtherKey reads IDs with a key that isn't theirs: the server is any.
func TestOtherKey(t *testing.T) {
	a, b := routing(0, 8, 8), routing(0, 8, 8)
	b.Key[15] ^= 1
	g, other := generator(t, newRouter(t, a), 1), newRouter(t, b)
	for range 100 {
		if server, _ := other.Server(g.New()); server == 1 || bits.OnesCount64(server) < 8 {
			t.Errorf("another key finds server %d", server)
		}
	}
}

func TestAllocations(t *testing.T) {
	for _, nonce := range []int{4, 8, 15} {
		r := newRouter(t, routing(0, 1, nonce))
		g := generator(t, r, 9)
		datagram := append([]byte{0b0011_1111}, g.New()...)
		if got := testing.AllocsPerRun(1000, func() { r.Server(InDatagram(datagram)); g.Len(InDatagram(datagram)) }); got != 0 {
			t.Errorf("a nonce of %d bytes: reading an ID allocates %v times", nonce, got)
		}
		if got := testing.AllocsPerRun(1000, func() { g.New() }); got != 1 {
			t.Errorf("a nonce of %d bytes: New allocates %v times, expected the ID alone", nonce, got)
		}
	}
}

func FuzzServer(f *testing.F) {
	r := newRouter(f, routing(0, 1, 4), routing(1, 8, 5), routing(2, 8, 8), routing(3, 8, 11))
	for i := range r.routes[:4] {
		f.Add(generator(f, newRouter(f, r.routes[i].Routing), 9).New())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		server, ok := r.Server(b)
		size := r.Len(b)
		if ok != (size > 0) || size > len(b) {
			t.Fatalf("%x: Len is %d, server %d, %v", b, size, server, ok)
		}
		if !bytes.Equal(b, before) {
			t.Fatalf("%x became %x", before, b)
		}
		if !ok {
			return
		}
		if again, _ := r.Server(b[:size]); again != server {
			t.Fatalf("%x: server %d, but %d with what is behind", b[:size], again, server)
		}
		if by := r.find(b); server>>(8*by.ServerLen) != 0 {
			t.Fatalf("%x: server %d is longer than %d bytes", b, server, by.ServerLen)
		}
	})
}

func BenchmarkServer(b *testing.B) {
	for _, c := range []struct{ server, nonce int }{{1, 8}, {8, 4}, {2, 14}} {
		b.Run(fmt.Sprintf("server=%d/nonce=%d", c.server, c.nonce), func(b *testing.B) {
			r := newRouter(b, routing(0, c.server, c.nonce))
			id := generator(b, r, 9).New()
			b.ReportAllocs()
			for b.Loop() {
				r.Server(id)
			}
		})
	}
}

func BenchmarkNew(b *testing.B) {
	g := generator(b, newRouter(b, routing(0, 1, 8)), 9)
	b.ReportAllocs()
	for b.Loop() {
		g.New()
	}
}
