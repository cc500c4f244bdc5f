package dtls

import (
	"cmp"
	"hash/maphash"
	"math/bits"
	"net/netip"
	"time"

	"github.com/godwit-dtls/godwit/fragment"
	"github.com/godwit-dtls/godwit/shared/handshake"
)

// A helloTable puts ClientHellos together that come in several datagrams, from
// addresses that are not validated. It has a fixed size, allocated once: a keyed
// hash of the address picks a few neighbouring places, and whoever comes takes
// over the one of them that is of least use. So spoofed fragments can delay a
// hello, but cost no memory; and honest clients, of whom few are at it at the same
// time, don't get in each other's way.
type helloTable struct {
	seed   maphash.Seed
	places []place
	most   int // bytes of a ClientHello that comes in pieces
}

// neighbours is how many places a hash picks.
const neighbours = 8

// helloLifetime is how long a ClientHello is kept, so that what comes of one copy adds
// to what came of another: longer than any client waits before it sends the next (RFC
// 9147 5.8.2).
const helloLifetime = 64 * time.Second

type place struct {
	from    netip.AddrPort
	seq     uint16
	length  int // of the whole message
	missing int // bytes
	expires time.Time
	size    int // bytes of datagrams that it came in
	have    []uint64
	body    []byte
}

// newHelloTable makes a table of so many places of so many bytes; zero means
// the default.
func newHelloTable(places, most int) *helloTable {
	places, most = cmp.Or(places, handshake.DefaultSplitHellos), cmp.Or(most, handshake.DefaultMaxSplitHello)
	t := &helloTable{seed: maphash.MakeSeed(), places: make([]place, places), most: most}
	words := (most + 63) / 64
	bodies, have := make([]byte, places*most), make([]uint64, places*words)
	for i := range t.places {
		t.places[i].body, bodies = bodies[:most:most], bodies[most:]
		t.places[i].have, have = have[:words:words], have[words:]
	}
	return t
}

// add adds a fragment, and returns the body once the whole message is there,
// with the bytes of the datagrams that brought it. It is valid until the next
// call. Fragments that don't agree replace what was there.
//
// The first hello of a client stays: whatever comes of another copy asks for its answer
// again, which seems to be lost, and only the bytes since the last one count. One with
// a cookie goes, as more may answer it than three times what a fragment has.
func (t *helloTable) add(from netip.AddrPort, h fragment.Header, body []byte, datagram int, now time.Time) (hello []byte, size int) {
	if h.Length > t.most || h.Length == 0 {
		return nil, 0
	}
	p := t.placeOf(from)
	if p.from != from || p.seq != h.Seq || p.length != h.Length || !now.Before(p.expires) || !p.agrees(h.Offset, body) {
		p.from, p.seq, p.length, p.missing, p.size = from, h.Seq, h.Length, h.Length, 0
		clear(p.have)
		p.expires = now.Add(helloLifetime)
	}
	p.size += datagram
	p.missing -= p.write(h.Offset, body)
	if p.missing > 0 {
		return nil, 0
	}
	if h.Seq > 0 {
		p.expires = time.Time{}
	}
	size, p.size = p.size, 0
	return p.body[:p.length], size
}

// placeOf is the place that an address has, or may take over.
func (t *helloTable) placeOf(from netip.AddrPort) *place {
	groups := (len(t.places) + neighbours - 1) / neighbours
	first := neighbours * int(maphash.Comparable(t.seed, from)%uint64(groups))
	group := t.places[first:min(first+neighbours, len(t.places))]
	least := &group[0]
	for i := range group {
		p := &group[i]
		if p.from == from {
			return p
		}
		if p.lessUse(least) {
			least = p
		}
	}
	return least
}

// lessUse says which of two places is to be taken over: one whose hello has had an
// answer, or else the older one.
func (p *place) lessUse(q *place) bool {
	if whole := p.missing == 0; whole != (q.missing == 0) {
		return whole
	}
	return p.expires.Before(q.expires)
}

// agrees reports whether bytes are what they were, as far as they were there.
func (p *place) agrees(offset int, body []byte) bool {
	for i, b := range body {
		if at := offset + i; p.have[at/64]>>(at%64)&1 != 0 && p.body[at] != b {
			return false
		}
	}
	return true
}

// write puts bytes in their place and returns how many are new.
func (p *place) write(offset int, body []byte) (fresh int) {
	copy(p.body[offset:], body)
	for i := offset; i < offset+len(body); {
		bit := i % 64
		n := min(64-bit, offset+len(body)-i)
		mask := ^uint64(0) >> (64 - n) << bit
		word := &p.have[i/64]
		fresh += bits.OnesCount64(mask &^ *word)
		*word |= mask
		i += n
	}
	return fresh
}
